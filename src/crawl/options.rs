//! What a run was asked to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::model::SeriesId;

/// Which titles a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The whole catalogue.
    Full,
    /// What changed since the last finished run.
    Incremental,
    /// Titles that are airing, due, or missing episodes.
    Ongoing,
    /// One title.
    One(SeriesId),
}

impl Mode {
    /// The name on the command line and in the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Ongoing => "ongoing",
            Self::One(_) => "one",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything a run needs to know beyond its services.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices of the user")]
pub struct Options {
    /// The mode asked for; `None` with `--resume` alone.
    pub mode: Option<Mode>,
    /// Continue the unfinished run if there is one.
    pub resume: bool,
    /// List at most this many pages.
    pub max_pages: Option<u32>,
    /// Process at most this many titles.
    pub limit: Option<u32>,
    /// Ask no source; use what is landed.
    pub from_landing: bool,
    /// The state is a scratch copy and nothing may be written for good.
    pub dry_run: bool,
    /// The sources are the bundled ones.
    pub sandbox: bool,
    /// Titles in flight.
    pub concurrency: usize,
    /// Batches without a success before the run stops.
    pub max_consecutive_errors: u32,
    /// Also ask for characters.
    pub fetch_characters: bool,
    /// Load hidden titles from `material_data`.
    pub load_hidden_titles: bool,
}

impl Options {
    /// The options that come from settings; the rest is the command line's.
    pub fn new(mode: Option<Mode>, settings: &Settings) -> Self {
        Self {
            mode,
            resume: false,
            max_pages: None,
            limit: None,
            from_landing: false,
            dry_run: false,
            sandbox: false,
            concurrency: settings.concurrency,
            max_consecutive_errors: settings.max_consecutive_errors,
            fetch_characters: settings.fetch_characters,
            load_hidden_titles: settings.load_hidden_titles,
        }
    }
}
