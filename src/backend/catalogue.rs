//! The catalogue importer: the only way into the canonical tables.

use std::sync::Arc;

use super::BackendError;
use super::importer::{self, Context, Processed, Record, Title};
use super::plan::{Plan, plan};
use crate::model::{Change, Collision, TitleRecord, Writes};
use crate::store::Store;
use crate::store::catalogue::{self, Counts, TitleKey};
use crate::store::sql::SqlError;
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints = CrashPoints { before: "catalogue.before_commit", after: "catalogue.after_commit" };

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

/// The use cases of the catalogue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalogue {
    store: Arc<Store>,
    source_name: Arc<str>,
}

impl Catalogue {
    /// A catalogue for titles of `source_name` (`kodik-shikimori`).
    pub fn new(store: Arc<Store>, source_name: &str) -> Self {
        Self { store, source_name: source_name.into() }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Brings one title up to date; whole or not at all. When it returns, it is durable.
    pub async fn import(&self, record: &TitleRecord) -> Result<ImportOutcome, BackendError> {
        let record = Record::of_title(&self.source_name, record.clone());
        let now = jiff::Timestamp::now().as_millisecond();
        let context = Context { collision: Collision::Upsert, import: None, now };
        let import =
            self.store.write(POINTS, move |session| match importer::import_record(session, &record, &context)? {
                Processed::Written { change, writes } => Ok(ImportOutcome::Written { change, writes }),
                Processed::Unchanged => Ok(ImportOutcome::Unchanged),
                // A title waits for nothing; whoever refuses it says why.
                Processed::Waiting { on } => Err(SqlError::Refused(format!("waits for {on}"))),
                Processed::Refused { message, .. } => Err(SqlError::Refused(message)),
            });
        Ok(import.await?)
    }

    /// What [`Catalogue::import`] would do now.
    pub async fn plan(&self, record: &TitleRecord) -> Result<Plan, BackendError> {
        let key = TitleKey { source_name: self.source_name.to_string(), source_id: record.series.id.to_string() };
        let stored = self.store.read(move |session| catalogue::title(session, &key)).await?;
        Ok(plan(stored.as_ref(), &Title::of_record(record), &record.fingerprint(), false))
    }

    /// Rows of each table.
    pub async fn counts(&self) -> Result<Counts, BackendError> {
        Ok(self.store.read(catalogue::counts).await?)
    }

    /// The whole catalogue as JSON lines; see [`catalogue::dump`].
    pub async fn dump(&self) -> Result<String, BackendError> {
        Ok(self.store.read(catalogue::dump).await?)
    }
}
