//! The catalogue importer: the only way into the canonical tables.

use std::sync::Arc;

use super::BackendError;
use super::plan::{Plan, plan};
use crate::model::{Change, TitleRecord, Writes};
use crate::store::catalogue::{CatalogueStore, Counts, TitleKey, Updated};

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// Rows were written.
    Written {
        /// New or changed.
        change: Change,
        /// How many rows.
        writes: Writes,
    },
    /// The catalogue already had exactly this; nothing was written.
    Unchanged,
}

/// The use cases of the catalogue, on any store.
#[derive(Debug)]
pub struct Catalogue<S> {
    store: S,
    source_name: String,
}

impl<S: CatalogueStore> Catalogue<S> {
    /// A catalogue for titles of `source_name` (`kodik-shikimori`).
    pub fn new(store: S, source_name: impl Into<String>) -> Self {
        Self { store, source_name: source_name.into() }
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Brings one title up to date; whole or not at all. When it returns, it is durable.
    pub async fn import(&self, record: &TitleRecord) -> Result<ImportOutcome, BackendError> {
        let record = Arc::new(record.clone());
        let fingerprint = record.fingerprint();
        let key = self.key(&record);
        let decided = self
            .store
            .update(key, fingerprint.clone(), move |stored| {
                let plan = plan(stored, &record, &fingerprint);
                let Some(change) = plan.change else { return (None, ImportOutcome::Unchanged) };
                let writes = plan.writes();
                (Some(plan.changes), ImportOutcome::Written { change, writes })
            })
            .await?;
        Ok(match decided {
            Updated::SameFingerprint => ImportOutcome::Unchanged,
            Updated::Decided(outcome) => outcome,
        })
    }

    /// What [`Catalogue::import`] would do now.
    pub async fn plan(&self, record: &TitleRecord) -> Result<Plan, BackendError> {
        let stored = self.store.title(self.key(record)).await?;
        Ok(plan(stored.as_ref(), record, &record.fingerprint()))
    }

    /// Rows of each table.
    pub async fn counts(&self) -> Result<Counts, BackendError> {
        Ok(self.store.counts().await?)
    }

    /// The whole catalogue as JSON lines; see [`CatalogueStore::dump`].
    pub async fn dump(&self) -> Result<String, BackendError> {
        Ok(self.store.dump().await?)
    }

    fn key(&self, record: &TitleRecord) -> TitleKey {
        TitleKey { source_name: self.source_name.clone(), source_id: record.series.id.to_string() }
    }
}
