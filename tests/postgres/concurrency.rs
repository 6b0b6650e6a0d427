//! Many at once on one server: each title whole, each slug once, deadlocks tried again.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};

use futures::future::join_all;
use parser::backend::ImportOutcome;
use parser::error::{Fault as _, Severity};
use parser::model::Outcome;
use parser::store::{Store, StoreErrorKind};

use crate::cluster::database;
use crate::place::{POINTS, Place, character, record};

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_make_the_tables_once() {
    let Some(database) = database() else { return };
    let place = Place::Postgres(database);
    let locations: Vec<_> = (0..5).map(|_| place.location()).collect();
    let stores = join_all(locations.iter().map(|location| Store::open(location, 0))).await;
    let ids: BTreeSet<_> = stores.into_iter().map(|store| store.unwrap().id().to_owned()).collect();
    assert_eq!(ids.len(), 1, "one database is one store");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_title_from_eight_tasks_of_two_servers_is_written_once() {
    let Some([sqlite, postgres]) = Place::both() else { return };
    let title = record(1, "Hoshi no Michi", 12, &[610, 735]);
    let servers = [postgres.catalogue().await, postgres.catalogue().await];
    let imports = (0..8).map(|n| servers[n % 2].import(&title));
    let outcomes = join_all(imports).await.into_iter().map(Result::unwrap);
    let written = outcomes.filter(|outcome| matches!(outcome, ImportOutcome::Written { .. })).count();
    assert_eq!(written, 1);
    let alone = sqlite.catalogue().await;
    alone.import(&title).await.unwrap();
    assert_eq!(servers[0].dump().await.unwrap(), alone.dump().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn different_views_of_one_title_at_once_leave_one_of_them_whole() {
    let Some(database) = database() else { return };
    let place = Place::Postgres(database);
    let catalogue = place.catalogue().await;
    let views: Vec<_> = (1..=8).map(|n| record(1, "Hoshi no Michi", n, &[i64::from(n)])).collect();
    for view in join_all(views.iter().map(|view| catalogue.import(view))).await {
        assert!(matches!(view.unwrap(), ImportOutcome::Written { .. }));
    }
    let active = "SELECT (SELECT count(*) FROM episode WHERE is_active), (SELECT min(translation_id) FROM release \
                  WHERE is_active), (SELECT count(*) FROM release WHERE is_active)";
    let seen: (u32, u32, u32) = catalogue
        .store()
        .read(move |session| session.one(active, &[], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
        .await
        .unwrap();
    assert_eq!((seen.0, seen.2), (seen.1, 1), "the n-th view has n episodes and one release");
}

#[tokio::test(flavor = "multi_thread")]
async fn namesakes_at_once_get_a_slug_each() {
    let Some(database) = database() else { return };
    let place = Place::Postgres(database);
    let servers = [place.catalogue().await, place.catalogue().await];
    let titles: Vec<_> = (1..=24).map(|id| record(id, "Same Name", 1, &[1])).collect();
    let imports = titles.iter().enumerate().map(|(n, title)| servers[n % 2].import(title));
    for outcome in join_all(imports).await {
        assert!(matches!(outcome.unwrap(), ImportOutcome::Written { .. }));
    }
    let slugs: Vec<String> = servers[0]
        .store()
        .read(|session| session.query("SELECT slug FROM series", &[], |row| row.get(0)))
        .await
        .unwrap();
    let expected: BTreeSet<_> = (1..24).map(|n| format!("same-name-{n}")).chain(["same-name".to_owned()]).collect();
    assert_eq!(slugs.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_wait_for_each_other_one_is_told_to_try_again() {
    let Some(database) = database() else { return };
    let place = Place::Postgres(database);
    let store = Arc::new(place.store().await);
    let make = "INSERT INTO source (name) VALUES ('a'), ('b')";
    store.write(POINTS, move |session| session.execute(make, &[])).await.unwrap();
    let both = Arc::new(Barrier::new(2));
    let jobs = [["a", "b"], ["b", "a"]].map(|order| {
        let both = Arc::clone(&both);
        store.write(POINTS, move |session| {
            session.execute(&format!("UPDATE source SET name = name || '+' WHERE name LIKE '{}%'", order[0]), &[])?;
            both.wait();
            session.execute(&format!("UPDATE source SET name = name || '+' WHERE name LIKE '{}%'", order[1]), &[])
        })
    });
    let mut results = join_all(jobs).await;
    results.sort_by_key(Result::is_err);
    assert_eq!(*results[0].as_ref().unwrap(), 1);
    let error = results[1].as_ref().unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Conflict(_)), "{error}");
    assert!(error.is_transient() && !error.stops_run() && error.severity() == Severity::Transient, "{error}");
    let names: Vec<String> = store
        .read(|session| session.query("SELECT name FROM source ORDER BY name", &[], |row| row.get(0)))
        .await
        .unwrap();
    assert_eq!(names, ["a+", "b+"], "nothing of the one that was given up stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_that_share_characters_in_any_order_all_arrive() {
    let Some(database) = database() else { return };
    let place = Place::Postgres(database);
    let loader = place.loader().await;
    let titles: Vec<_> = (1..=16)
        .map(|id| {
            let mut title = record(id, &format!("Title {id}"), 1, &[1]);
            let mut cast: Vec<_> = (1..=40).map(|n| character(n, &format!("{n} of {id}"))).collect();
            if id % 2 == 0 {
                cast.reverse();
            }
            title.characters = Some(cast);
            title
        })
        .collect();
    for outcome in join_all(titles.iter().map(|title| loader.load(title))).await {
        assert!(matches!(outcome.unwrap(), Outcome::Loaded { .. }));
    }
    let counts = loader.catalogue().counts().await.unwrap();
    assert_eq!((counts.series, counts.characters), (16, 40));
}
