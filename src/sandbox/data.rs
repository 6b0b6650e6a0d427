//! The shape of one sandbox title: what the hand-written fixtures spell out compactly and what the generator computes.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::seasons::Season;

/// One Shikimori entry together with the Kodik materials that carry it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Title {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) russian: Option<String>,
    pub(crate) english: Option<String>,
    pub(crate) japanese: Option<String>,
    pub(crate) synonyms: Vec<String>,
    pub(crate) license: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) status: String,
    pub(crate) rating: String,
    pub(crate) score: f64,
    pub(crate) episodes: u32,
    /// Episodes out so far; the source says 0 for released titles.
    pub(crate) aired: u32,
    /// An incomplete date: `2013`, `2013-04`, `2013-04-05`; `0000-04-05` when the year is unknown.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) minutes: u32,
    pub(crate) genres: Vec<u32>,
    pub(crate) studios: Vec<u32>,
    pub(crate) franchise: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) poster: Poster,
    /// Letter that a "copyrighted" id carries in URLs.
    pub(crate) prefix: String,
    /// Status with which Shikimori refuses the title: 404 or 451.
    pub(crate) hidden: Option<u16>,
    pub(crate) kinopoisk: Option<String>,
    pub(crate) imdb: Option<String>,
    pub(crate) worldart: Option<u32>,
    pub(crate) roles: Vec<Role>,
    /// Relation label and the id of the other title.
    pub(crate) related: Vec<(String, u64)>,
    /// Fields that replace what REST would say.
    pub(crate) rest: Map<String, Value>,
    /// Fields that replace what GraphQL would say.
    pub(crate) graphql: Map<String, Value>,
    /// Fields that replace what `material_data` would say; `null` removes one.
    pub(crate) meta: Map<String, Value>,
    pub(crate) kodik: Vec<Material>,
}

impl Default for Title {
    fn default() -> Self {
        Self {
            id: 0,
            name: String::new(),
            russian: None,
            english: None,
            japanese: None,
            synonyms: Vec::new(),
            license: None,
            kind: Some("tv".to_owned()),
            status: "released".to_owned(),
            rating: "pg_13".to_owned(),
            score: 0.0,
            episodes: 0,
            aired: 0,
            from: None,
            to: None,
            minutes: 24,
            genres: Vec::new(),
            studios: Vec::new(),
            franchise: None,
            next: None,
            text: None,
            html: None,
            source: None,
            poster: Poster::Both,
            prefix: String::new(),
            hidden: None,
            kinopoisk: None,
            imdb: None,
            worldart: None,
            roles: Vec::new(),
            related: Vec::new(),
            rest: Map::new(),
            graphql: Map::new(),
            meta: Map::new(),
            kodik: Vec::new(),
        }
    }
}

impl Title {
    /// Hidden from lists unless `censored=false` is asked for.
    pub(crate) fn is_adult(&self) -> bool {
        self.rating == "rx"
    }

    /// The year the source knows, unknown ones left out.
    pub(crate) fn year(&self) -> Option<u32> {
        self.from.as_deref().and_then(|from| from.get(..4)).and_then(|year| year.parse().ok()).filter(|year| *year > 0)
    }

    /// `9101-some-name`, with the letter prefix of copyrighted ids.
    pub(crate) fn slug(&self) -> String {
        let mut slug = format!("{}{}", self.prefix, self.id);
        let mut dash = true;
        for letter in self.name.chars() {
            if letter.is_ascii_alphanumeric() {
                if dash {
                    slug.push('-');
                }
                slug.push(letter.to_ascii_lowercase());
                dash = false;
            } else {
                dash = true;
            }
        }
        slug
    }
}

/// Where the poster of a title is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Poster {
    /// In REST and in GraphQL.
    Both,
    /// Only GraphQL has it; REST answers a placeholder.
    Graphql,
    /// Nowhere.
    None,
}

/// One character or person of a title.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Role {
    pub(crate) roles: Vec<String>,
    pub(crate) roles_russian: Vec<String>,
    pub(crate) character: Option<Subject>,
    pub(crate) person: Option<Subject>,
}

/// A character or a person in brief.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Subject {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) russian: String,
    pub(crate) poster: bool,
}

/// One Kodik material: the title in one translation.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Material {
    /// Filled on loading: `serial-…` or `movie-…`.
    #[serde(skip)]
    pub(crate) id: String,
    /// Translation id; 0 = the material has none.
    pub(crate) voice: u32,
    /// Seasons in the compact notation; absent for movies.
    pub(crate) eps: Option<EpisodesSpec>,
    /// The expansion of `eps`.
    #[serde(skip)]
    pub(crate) seasons: Vec<Season>,
    pub(crate) quality: String,
    pub(crate) camrip: bool,
    /// What stands before the path of every link.
    pub(crate) host: String,
    /// RFC 3339; empty = derived from the title's first date.
    pub(crate) created: String,
    pub(crate) updated: String,
    /// Seconds, filled on loading.
    #[serde(skip)]
    pub(crate) created_at: i64,
    #[serde(skip)]
    pub(crate) updated_at: i64,
    pub(crate) blocked_countries: Vec<String>,
    pub(crate) blocked_seasons: Option<Value>,
    /// Fields that replace what the material would say.
    pub(crate) raw: Map<String, Value>,
    /// Fields that the material lacks.
    pub(crate) absent: Vec<String>,
}

impl Default for Material {
    fn default() -> Self {
        Self {
            id: String::new(),
            voice: 0,
            eps: None,
            seasons: Vec::new(),
            quality: "WEB-DLRip 720p".to_owned(),
            camrip: false,
            host: "//kodikplayer.com".to_owned(),
            created: String::new(),
            updated: String::new(),
            created_at: 0,
            updated_at: 0,
            blocked_countries: Vec::new(),
            blocked_seasons: None,
            raw: Map::new(),
            absent: Vec::new(),
        }
    }
}

impl Material {
    /// A material with seasons.
    pub(crate) fn is_serial(&self) -> bool {
        !self.seasons.is_empty()
    }

    /// `anime-serial` or `anime`.
    pub(crate) fn kind(&self) -> &'static str {
        if self.is_serial() { "anime-serial" } else { "anime" }
    }

    /// Whether the answer leaves this field out.
    pub(crate) fn lacks(&self, field: &str) -> bool {
        self.absent.iter().any(|absent| absent == field)
    }
}

/// `"1-12"` (season 1) or `{"4": "1-13", "0": {"title": "…", "eps": "1-2"}}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum EpisodesSpec {
    /// Season 1 only.
    One(String),
    /// By franchise season.
    Seasons(std::collections::BTreeMap<String, SeasonSpec>),
}

/// One season of [`EpisodesSpec`].
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum SeasonSpec {
    /// Just the episodes.
    Plain(String),
    /// With a title.
    Titled {
        /// Shown by players.
        title: String,
        /// The episodes.
        eps: String,
    },
}

#[cfg(test)]
mod tests {
    use super::Title;

    #[test]
    fn slug_carries_prefix_and_ascii_words() {
        let title = Title { id: 7, prefix: "z".into(), name: "Kaze no! Uta".into(), ..Title::default() };
        assert_eq!(title.slug(), "z7-kaze-no-uta");
    }
}
