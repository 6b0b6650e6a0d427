//! The landing: every answer of the sources as it came, and how far each listing stands.
//!
//! What was landed is never asked for again, and the whole transformation can be repeated from here without the
//! sources. A listing has a generation: while a new one fills up, what older ones left stays; finishing it removes
//! what it has not seen again. Every change returns after its commit, position and content in one transaction.

mod listing;
mod titles;
mod types;

use std::path::Path;

use tempfile::TempDir;

use super::StoreError;
use super::sqlite::{Database, Options, Schema};
use crate::error::Party;

pub use types::{
    CollectPosition, LandedMaterial, LandedMetadata, LandedOrigin, LandedPage, ListingPosition, RejectedMaterial,
};

static SCHEMA: Schema =
    Schema { migrations: &[("V1__landing", include_str!("../sqlite/migrations/landing/V1__landing.sql"))] };

/// What is landed is state: exit 5 when it cannot be kept.
const OPTIONS: Options = Options { schema: &SCHEMA, party: Party::State, durable: true, max_pages: None, page_kib: 16 };

/// Names of the crash points of one kind of change.
macro_rules! points {
    ($name:literal) => {
        CrashPoints {
            before: concat!("landing.", $name, ".before_commit"),
            after: concat!("landing.", $name, ".after_commit"),
        }
    };
}
use points;

/// Raw answers and positions in one SQLite file.
#[derive(Debug)]
pub struct Landing {
    // Before the folder: the file is closed before it is removed.
    database: Database,
    _folder: Option<TempDir>,
}

impl Landing {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(path, &OPTIONS)?, _folder: None })
    }

    /// Opens or creates a file that may not grow beyond `max_pages` of 4 KiB.
    pub fn open_limited(path: &Path, max_pages: Option<u32>) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(path, &Options { max_pages, ..OPTIONS })?, _folder: None })
    }

    /// A landing in a private folder that goes away with it, for runs that may not leave anything.
    pub fn open_temp() -> Result<Self, StoreError> {
        let folder = tempfile::Builder::new()
            .prefix("parser-")
            .tempdir()
            .map_err(|error| StoreError::from_io(&std::env::temp_dir(), Party::State, &error))?;
        let database = Database::open(&folder.path().join("landing.db"), &Options { durable: false, ..OPTIONS })?;
        Ok(Self { database, _folder: Some(folder) })
    }

    /// Opens what there is without changing a byte, for a dry run from the landing; `None` if there is nothing.
    pub fn open_read_only(path: &Path) -> Result<Option<Self>, StoreError> {
        Ok(Database::open_read_only(path, &OPTIONS)?.map(|database| Self { database, _folder: None }))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }
}
