//! One script of whole titles, on both engines: what each import says, and the catalogue after it.

use std::fmt::Write as _;

use parser::model::TitleRecord;
use parser::store::catalogue;
use parser::store::sql::SqlError;

use crate::place::{POINTS, Place, character, record};

/// Runs the script; everything that can be seen of it.
async fn script(place: &Place) -> String {
    let catalogue = place.catalogue().await;
    let mut seen = String::new();
    let import = async |seen: &mut String, what: &str, record: &TitleRecord| {
        let plan = catalogue.plan(record).await.unwrap();
        let outcome = catalogue.import(record).await.unwrap();
        let counts = catalogue.counts().await.unwrap();
        writeln!(seen, "{what}: {outcome:?}\n{:?}\n{counts:?}\n{}", plan.fields, catalogue.dump().await.unwrap())
            .unwrap();
    };
    let sql = async |statement: &'static str| {
        let run = move |session: &parser::store::sql::Session<'_>| session.execute(statement, &[]);
        assert!(catalogue.store().write(POINTS, run).await.unwrap() > 0, "{statement}");
    };

    let mut one = record(1, "Hoshi no Michi", 3, &[610, 735]);
    import(&mut seen, "new", &one).await;
    import(&mut seen, "the same", &one).await;
    one.series.description = None;
    one.series.signals.score = Some(8.0);
    one.series.year = Some(2022);
    import(&mut seen, "changed, without what is missing only now", &one).await;
    import(&mut seen, "fewer episodes and a release gone", &record(1, "Hoshi no Michi", 2, &[610])).await;
    import(&mut seen, "back, and one more", &record(1, "Hoshi no Michi", 4, &[610, 735, 900])).await;
    import(&mut seen, "none left", &record(1, "Hoshi no Michi", 0, &[])).await;
    import(&mut seen, "all back", &record(1, "Hoshi no Michi", 4, &[610, 735])).await;

    for (id, title) in
        [(2, "Hoshi no Michi"), (3, "Hoshi no Michi"), (30, "Hoshi no Michi 1"), (4, "Ещё один"), (5, "「」")]
    {
        import(&mut seen, "a namesake or a strange name", &record(id, title, 1, &[610])).await;
    }
    import(&mut seen, "renamed", &record(3, "Another Name", 1, &[610])).await;
    sql("DELETE FROM series WHERE slug = 'hoshi-no-michi-1'").await;
    import(&mut seen, "a freed number", &record(6, "Hoshi no Michi", 1, &[610])).await;

    sql("UPDATE video SET is_active = FALSE, disabled_by = 'editor' WHERE url LIKE '%/seria/11610/%'").await;
    sql("UPDATE episode SET is_active = FALSE, disabled_by = 'editor' WHERE source_episode_id = '1:2'").await;
    sql("UPDATE series SET admin_modified = TRUE, title = 'By hand', fingerprint = '' WHERE source_id = '1'").await;
    import(&mut seen, "a person's work stays", &record(1, "Hoshi no Michi II", 5, &[610, 735])).await;

    let mut cast = record(7, "Cast", 1, &[610]);
    cast.characters = Some(vec![character(20, "Twenty"), character(3, "Three"), character(100, "Hundred")]);
    import(&mut seen, "characters", &cast).await;
    cast.characters = Some(vec![character(3, "Three and more")]);
    import(&mut seen, "fewer characters", &cast).await;
    cast.characters = None;
    cast.series.year = None;
    import(&mut seen, "characters were not asked for", &cast).await;

    let half = catalogue.store().write(POINTS, |session| {
        session.execute("UPDATE series SET title = 'half'", &[])?;
        Err::<(), _>(SqlError::Refused("no".to_owned()))
    });
    writeln!(seen, "undone: {:?}", half.await.map_err(|error| error.kind)).unwrap();
    let twice = catalogue.store().write(POINTS, |session| {
        session.execute("INSERT INTO source (name) VALUES ('twice')", &[])?;
        session.execute("INSERT INTO source (name) VALUES ('twice')", &[])
    });
    assert!(matches!(twice.await.unwrap_err().kind, parser::store::StoreErrorKind::Refused(_)));
    let sources = "SELECT name FROM source ORDER BY name";
    let sources: Vec<String> =
        catalogue.store().read(|session| session.query(sources, &[], |row| row.get(0))).await.unwrap();
    writeln!(seen, "{sources:?}\n{}", catalogue.dump().await.unwrap()).unwrap();
    seen
}

#[tokio::test]
async fn whole_titles_give_the_same_catalogue_on_both_engines() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    let (expected, found) = (script(&sqlite).await, script(&postgres).await);
    assert!(expected.contains("hoshi-no-michi-1") && expected.lines().count() > 200, "the script does too little");
    crate::harness::assert_same("titles", &expected, &found);
}

#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_was() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    for place in [&sqlite, &postgres] {
        let store = place.store().await;
        let mut all = record(1, "Ünïcödé ☄ 'quotes' \"and\" \\ back", 1, &[1]);
        all.series.alternative_titles = vec![String::new(), "\n\t\u{1}".to_owned(), "{\"a\": 1}".to_owned()];
        all.series.signals.score = Some(0.1 + 0.2);
        all.series.signals.next_episode_at = Some(jiff::Timestamp::from_millisecond(-1).unwrap());
        let catalogue = parser::backend::Catalogue::new(std::sync::Arc::new(store), "s");
        catalogue.import(&all).await.unwrap();
        let key = catalogue::TitleKey { source_name: "s".to_owned(), source_id: "1".to_owned() };
        let stored = catalogue.store().read(move |session| catalogue::title(session, &key)).await.unwrap().unwrap();
        let (found, wanted) = (stored.series.series, all.series);
        assert_eq!((found.title, found.alternative_titles), (wanted.title, wanted.alternative_titles));
        assert_eq!((found.description, found.signals), (wanted.description, wanted.signals));
    }
}
