//! Settings that decide what is loaded, seen in the catalogue that a run leaves.

use crate::world::World;

const SPECIALS: &str = "SELECT count(*) FROM episode WHERE class = 'special'";
const JOINED: &str = "SELECT count(*) FROM episode WHERE class = 'joined'";

#[test]
fn hidden_titles_are_skipped_with_their_reason() {
    let world = World::new();
    let ran = world.full(0).prints(&["not_found 1", "age_restricted 1", "no_shikimori_id 1"]);
    for (id, reason) in [("9401", "not_found"), ("9402", "age_restricted")] {
        let line = ran.stderr.lines().find(|line| line.contains(&format!("series={id} ")));
        assert!(line.is_some_and(|line| line.contains("skipped") && line.contains(reason)), "{id}: {ran}");
    }
    assert_eq!(world.query("SELECT count(*) FROM series WHERE source_id IN ('9401', '9402')"), "0");
}

#[test]
fn hidden_titles_are_loaded_from_what_kodik_knows() {
    let mut world = World::new();
    world.set("LOAD_HIDDEN_TITLES", "true");
    world.full(0);
    let of = |id: &str, field: &str| world.query(&format!("SELECT {field} FROM series WHERE source_id = '{id}'"));
    for id in ["9401", "9402"] {
        assert_eq!(of(id, "origin"), "material_data");
        assert_ne!(of(id, "title"), "");
    }
    let videos =
        "SELECT count(*) FROM video JOIN episode ON episode.id = episode_id WHERE source_episode_id LIKE '9401:%'";
    assert_eq!(world.query(videos), "24");
}

#[test]
fn characters_are_loaded_when_asked_for_and_hidden_titles_do_not_mind() {
    let mut world = World::new();
    world.full(0);
    assert_eq!(world.query("SELECT count(*) FROM character"), "0");
    world.set("FETCH_CHARACTERS", "true");
    world.set("LOAD_HIDDEN_TITLES", "true");
    world.full(0);
    assert_ne!(world.query("SELECT count(*) FROM character"), "0");
    assert_ne!(world.query("SELECT count(*) FROM series_character WHERE role = 'main'"), "0");
    assert_eq!(world.query("SELECT count(*) FROM series"), "65");
}

#[test]
fn specials_and_joined_episodes_are_loaded_when_asked_for() {
    let mut world = World::new();
    world.full(0);
    assert_eq!((world.query(SPECIALS), world.query(JOINED)), ("0".to_owned(), "0".to_owned()));
    let regular = world.query("SELECT count(*) FROM episode");
    world.set("INCLUDE_SPECIALS", "true");
    world.full(0);
    assert_ne!(world.query(SPECIALS), "0");
    assert_eq!(world.query(JOINED), "0");
    world.set("INCLUDE_JOINED_EPISODES", "true");
    world.full(0);
    assert_ne!(world.query(JOINED), "0");
    assert_eq!(world.query("SELECT count(*) FROM episode WHERE class = 'regular'"), regular, "beside the others");
    let twice = "SELECT count(*) FROM (SELECT 1 FROM episode GROUP BY source, source_episode_id HAVING count(*) > 1)";
    assert_eq!(world.query(twice), "0");

    // Taken back, they are switched off, not left as they were.
    world.set("INCLUDE_SPECIALS", "false");
    world.full(0);
    assert_eq!(world.query("SELECT count(*) FROM episode WHERE class = 'special' AND is_active"), "0");
}

#[test]
fn preferred_translations_come_first_and_excluded_ones_not_at_all() {
    let mut world = World::new();
    let priority = |world: &World, id: u32| -> i64 {
        let sql = format!(
            "SELECT priority FROM release JOIN series ON series.id = series_id WHERE source_id = '9302' AND translation_id = {id}"
        );
        world.query(&sql).parse().unwrap_or_else(|error| panic!("{error}: {}", world.query(&sql)))
    };
    world.full(0);
    let before = [501, 502, 503].map(|id| priority(&world, id));
    world.set("TRANSLATION_PRIORITIES", "503,501");
    world.full(0);
    let after = [501, 502, 503].map(|id| priority(&world, id));
    assert!(after[2] > after[0] && after[0] > after[1], "{before:?} {after:?}");
    let best = "SELECT translation_id FROM video JOIN release ON release.id = release_id JOIN episode ON episode.id = episode_id \
                WHERE source_episode_id = '9302:1' ORDER BY video.priority DESC LIMIT 1";
    assert_eq!(world.query(best), "503", "players follow");

    world.set("TRANSLATIONS_EXCLUDED", "502");
    world.full(0);
    let active = "SELECT group_concat(translation_id) FROM (SELECT translation_id FROM release JOIN series ON series.id = series_id \
                  WHERE source_id = '9302' AND release.is_active ORDER BY 1)";
    assert_eq!(world.query(active), "501,503");
}

#[test]
fn the_title_comes_in_the_language_asked_for() {
    let mut world = World::new();
    world.set("TITLE_LANGUAGES", "russian,romaji");
    world.set("GENRE_LANGUAGE", "russian");
    world.run(&["run", "--mode", "one", "--source-id", "9302"]).expect(0);
    assert_eq!(world.query("SELECT title FROM series"), "Дважды залитая история");
    assert_eq!(world.query("SELECT count(*) FROM series WHERE genres GLOB '*[А-я]*'"), "1");
}

#[test]
fn what_the_sources_send_anew_is_reported() {
    let world = World::new();
    world.full(0).says(&[
        "schema drift",
        "material.ai_upscaled: unknown field",
        "material_data.episodes_total: wrong type",
        "graphql.anime.duration: wrong type",
    ]);
}

#[test]
fn a_few_titles_when_only_a_few_are_wanted() {
    let world = World::new();
    world.run(&["run", "--mode", "one", "--source-id", "z9302"]).expect(0).prints(&["one, finished"]);
    assert_eq!(world.query("SELECT group_concat(source_id) FROM series"), "9302");
    world.run(&["run", "--mode", "full", "--limit", "5"]).expect(0);
    assert_eq!(world.query("SELECT count(*) FROM series"), "6");
    world.run(&["run", "--mode", "one", "--source-id", "424242"]).expect(0).prints(&["not_found 1"]);
}
