//! Loading into the catalogue of this process.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use super::LoadError;
use crate::backend::{BackendError, Catalogue, ImportOutcome};
use crate::model::{Failure, Outcome, TitleRecord};
use crate::observe::events;
use crate::store::{Location, Store};

/// The embedded backend.
#[derive(Debug)]
pub struct Embedded {
    catalogue: Catalogue,
}

impl Embedded {
    /// Opens (or creates) the catalogue.
    pub async fn open(location: impl Into<Location>, source_name: &str) -> Result<Self, LoadError> {
        let store = Store::open(&location.into(), 0).await.map_err(BackendError::from)?;
        Ok(Self::new(Catalogue::new(Arc::new(store), source_name)))
    }

    /// Loads into an open catalogue.
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue }
    }

    /// The catalogue, for counting and dumping.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// `embedded:<id of the catalogue>`.
    pub fn target(&self) -> String {
        target(self.catalogue.store().id())
    }

    /// Imports one title. What the ledger knows is not asked: the catalogue itself remembers its fingerprints, and an
    /// older copy of it put back in place must be brought up to date.
    pub async fn load(&self, record: &TitleRecord) -> Result<Outcome, LoadError> {
        let import = || self.catalogue.import(record);
        match import.retry(patience()).when(BackendError::is_transient).notify(report).await {
            Ok(ImportOutcome::Unchanged) => Ok(Outcome::Unchanged),
            Ok(ImportOutcome::Written { change, writes }) => Ok(Outcome::Loaded { change, writes }),
            Err(error) if error.stops_run() => Err(error.into()),
            Err(error) => Ok(Outcome::Failed(refused(&error))),
        }
    }
}

/// Each attempt waits for SQLite's lock, or for the server to come back, already; what they wait for may take longer.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(5).with_jitter()
}

fn report(error: &BackendError, delay: Duration) {
    events::store_locked(&error.to_string(), delay);
}

pub(super) fn target(store_id: &str) -> String {
    format!("embedded:{store_id}")
}

pub(super) fn refused(error: &BackendError) -> Failure {
    Failure {
        stage: "embedded".to_owned(),
        code: "store".to_owned(),
        reason: crate::error::chain(error),
        retryable: error.is_transient(),
        parts: Vec::new(),
    }
}
