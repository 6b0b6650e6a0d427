//! Kodik: `/list` page by page, `/search` by Shikimori id, `/translations/v2`.

mod cursor;
mod envelope;
mod error;
mod list;
mod search;
mod translations;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;

use super::drift::{Drift, Root};
use super::parse::{self, Malformed, RawRecord};
use crate::http::{Request, Service, Stats};
use crate::model::raw::kodik::Material;
use crate::model::{MaterialId, SeriesId};

pub use cursor::{Cursor, RepeatGuard};
pub use error::classify;
pub use list::{ListPage, Order};
pub use search::Found;
pub use translations::{TranslationInfo, Translations, parse_translations};

/// The service's name in logs, metrics and reports.
pub const NAME: &str = "kodik";

/// Items of one answer at most; the API takes no more.
pub const PAGE_LIMIT: u32 = 100;

const ROOT: Root = Root { source: NAME, name: "material" };

/// The Kodik API.
#[derive(Debug, Clone)]
pub struct Kodik {
    service: Service,
    token: SecretString,
    options: Arc<KodikOptions>,
    drift: Drift,
}

/// What to ask Kodik for.
#[derive(Debug, Clone)]
pub struct KodikOptions {
    /// Material types.
    pub types: Vec<String>,
    /// Episode titles and frames as well (`with_episodes_data`); answers are several times larger.
    pub with_titles: bool,
    /// Items a page, 1..=100.
    pub page_limit: u32,
}

impl Default for KodikOptions {
    /// Anime, full pages, links only.
    fn default() -> Self {
        Self { types: vec!["anime".to_owned(), "anime-serial".to_owned()], with_titles: false, page_limit: PAGE_LIMIT }
    }
}

/// One material as it came: only what is needed to place it is parsed; the rest by [`parse_material`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMaterial {
    /// The material's id.
    pub id: MaterialId,
    /// The title it belongs to; `None` = it names no usable Shikimori id.
    pub series: Option<SeriesId>,
    /// When the source last changed it, RFC 3339 as received.
    pub updated_at: Option<String>,
    /// The material's JSON, byte for byte (shares the answer's memory).
    pub raw: Bytes,
}

/// A list item that is not a material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why, in one line.
    pub reason: String,
    /// Its id, when it has one.
    pub id: Option<String>,
    /// The title it belongs to, when it names one: that title cannot be seen whole.
    pub series: Option<SeriesId>,
    /// Its JSON, byte for byte.
    pub raw: Bytes,
}

impl Kodik {
    /// A client on top of `service`, whose profile should judge by [`classify`].
    pub fn new(service: Service, token: SecretString, options: KodikOptions, drift: Drift) -> Self {
        Self { service, token, options: Arc::new(options), drift }
    }

    /// What the service cost so far.
    pub fn stats(&self) -> Stats {
        self.service.stats()
    }

    fn request(&self, endpoint: &'static str) -> Request {
        Request::get(endpoint, endpoint)
            .secret("token", self.token.clone())
            .query("types", self.options.types.join(","))
    }

    fn with_contents(&self, request: Request) -> Request {
        let episodes = if self.options.with_titles { "with_episodes_data" } else { "with_episodes" };
        request.query("with_material_data", "true").query(episodes, "true")
    }
}

/// Parses a whole material from its raw bytes.
pub fn parse_material(raw: &[u8], drift: &Drift) -> Result<Material, Malformed> {
    parse::parse(raw, drift)
}

impl RawRecord for Material {
    const ROOT: Root = ROOT;

    fn record_id(&self) -> Option<Cow<'_, str>> {
        let id = self.id.trim();
        (!id.is_empty()).then_some(Cow::Borrowed(id))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
