//! One snapshot for each file of `cases/`. A changed snapshot is a changed catalogue: read it before accepting it.

use std::collections::BTreeSet;
use std::path::Path;

use parser::model::raw::kodik::Material;
use parser::model::raw::shikimori::GraphAnime;
use parser::model::raw::{RawMetadata, RawTitle};
use parser::model::{SeriesId, TitleRecord};
use parser::transform::{self, Rules, TransformError};

use crate::input::Case;

macro_rules! cases {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                check(stringify!($name), include_str!(concat!("cases/", stringify!($name), ".json")));
            }
        )*
    };
}

cases! {
    adult
    announced
    ascii_from_kodik
    bbcode_zoo
    blocked_regions
    characters
    cyrillic_only
    episode_zero
    episodes_with_data
    franchise_season_four
    gaps
    genres_in_russian_only
    html_zoo
    ids_as_numbers
    joined_sent
    joined_withheld
    links_of_every_sort
    material_data_beside_shikimori
    material_data_of_another_season
    material_data_only
    movie
    movie_and_subtitles_year_conflict
    movie_camrip
    no_characters
    no_translation
    nothing_but_kodik
    null_names
    odd_season_keys
    ongoing
    ongoing_unknown_length
    rest_complete
    rest_placeholder_poster
    reuploads
    russian_preferred
    same_link_twice
    same_material_twice
    season_zero_only
    seasons_of_which_one_counts
    seasons_without_episodes
    several_seasons
    several_studios
    specials_sent
    specials_withheld
    tv_finished
    unknown_words
    year_1901
    zero_padded_keys
}

fn check(name: &str, json: &str) {
    let case = Case::read(json);
    let record = transform::title(&case.raw(), &case.rules()).expect("a record");
    insta::with_settings!({
        description => &case.about,
        omit_expression => true,
        prepend_module_to_snapshot => false,
    }, {
        insta::assert_json_snapshot!(name, record);
    });
}

#[test]
fn every_file_is_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transform/cases");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder of cases")
        .filter_map(|entry| entry.expect("an entry").path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    let listed: BTreeSet<String> = LISTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(files, listed);
}

/// Too long to be read in full: its shape is asserted instead.
#[test]
fn a_thousand_episodes_in_five_translations() {
    let materials = (1..=5)
        .map(|translation| {
            let episodes: serde_json::Map<_, _> = (1..=1000)
                .map(|n| (n.to_string(), format!("//player.example/seria/{translation}{n:04}/0a1b/720p").into()))
                .collect();
            let json = serde_json::json!({
                "id": format!("serial-{translation}"),
                "translation": {"id": translation, "title": format!("Studio {translation}"), "type": "voice"},
                "seasons": {"1": {"episodes": episodes}},
            });
            serde_json::from_value(json).expect("a material")
        })
        .collect();
    let record = record(materials, Some("Nagai Tabi")).expect("a record");

    assert_eq!((record.episodes.len(), record.videos.len(), record.releases.len()), (1000, 5000, 5));
    assert!(record.episodes.iter().map(|episode| episode.number).eq(1..=1000));
    assert_eq!(record.episodes[999].id.0, "900100:1000");
    assert!(record.releases.iter().all(|release| release.episodes == 1000));
    assert!(record.videos.is_sorted_by_key(|video| (video.episode_id.clone(), video.translation_id)));
}

#[test]
fn a_title_without_material_or_name_is_refused_for_good() {
    use parser::error::{Fault, Severity};

    let nothing = record(vec![], Some("Nani mo Nai")).expect_err("no material");
    assert_eq!((nothing, nothing.code()), (TransformError::NoMaterials { id: SeriesId(900_100) }, "no_materials"));
    let material = Material { id: "movie-1".into(), title: Some(" \u{A0}".into()), ..Material::default() };
    let nameless = record(vec![material], None).expect_err("no name");
    assert_eq!((nameless, nameless.code()), (TransformError::NoTitle { id: SeriesId(900_100) }, "no_title"));
    assert_eq!(nameless.severity(), Severity::Permanent);
    assert!(nameless.hint().is_some());
}

fn record(materials: Vec<Material>, name: Option<&str>) -> Result<TitleRecord, TransformError> {
    let anime = GraphAnime { name: name.map(Into::into), ..GraphAnime::default() };
    let metadata = RawMetadata::GraphQl(Box::new(anime));
    transform::title(&RawTitle { id: SeriesId(900_100), materials, metadata, roles: None }, &Rules::default())
}
