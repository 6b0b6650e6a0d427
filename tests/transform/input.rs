//! Reads a case: the sources' answers about one title as JSON, and the rules it is to be made into a record by.

use parser::model::SeriesId;
use parser::model::raw::kodik::Material;
use parser::model::raw::shikimori::{GraphAnime, RestAnime, Role};
use parser::model::raw::{RawMetadata, RawTitle};
use parser::transform::Rules;
use serde::Deserialize;

/// One file of `cases/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What the case is about; becomes the description of its snapshot.
    pub(crate) about: String,
    id: u64,
    graphql: Option<GraphAnime>,
    rest: Option<RestAnime>,
    roles: Option<Vec<Role>>,
    rules: Option<CaseRules>,
    materials: Vec<Material>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaseRules {
    priorities: Vec<String>,
    excluded: Vec<String>,
    include_specials: bool,
    include_joined: bool,
    title_preference: Option<Vec<String>>,
    genre_language: Option<String>,
}

impl Case {
    pub(crate) fn read(json: &str) -> Self {
        serde_json::from_str(json).expect("a well-formed case")
    }

    pub(crate) fn raw(&self) -> RawTitle {
        let metadata = match (&self.graphql, &self.rest) {
            (Some(anime), None) => RawMetadata::GraphQl(Box::new(anime.clone())),
            (None, Some(anime)) => RawMetadata::Rest(Box::new(anime.clone())),
            (None, None) => RawMetadata::MaterialDataOnly,
            (Some(_), Some(_)) => panic!("a case has one kind of metadata"),
        };
        RawTitle { id: SeriesId(self.id), materials: self.materials.clone(), metadata, roles: self.roles.clone() }
    }

    pub(crate) fn rules(&self) -> Rules {
        let default = Rules::default();
        let Some(rules) = &self.rules else { return default };
        let selectors =
            |texts: &[String]| texts.iter().map(|text| text.parse().expect("a selector")).collect::<Vec<_>>();
        let language = |text: &String| text.parse().expect("a language");
        Rules {
            translation_priorities: selectors(&rules.priorities),
            excluded_translations: selectors(&rules.excluded),
            include_specials: rules.include_specials,
            include_joined: rules.include_joined,
            title_preference: rules
                .title_preference
                .as_ref()
                .map_or(default.title_preference, |list| list.iter().map(language).collect()),
            genre_language: rules.genre_language.as_ref().map_or(default.genre_language, language),
            ..default
        }
    }
}
