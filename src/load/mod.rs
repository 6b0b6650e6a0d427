//! Handing a transformed title to a backend: in process, by imports, over the existing import contract, or (dry run)
//! not at all.

pub mod batch;
pub mod contract;
mod dry_run;
mod embedded;
mod error;
mod speaks;

use crate::model::{Outcome, TitleRecord};

pub use batch::Batch;
pub use contract::Contract;
pub use dry_run::{Action, DryRun, Preview, Show};
pub use embedded::Embedded;
pub use error::LoadError;
pub use speaks::{Speaks, ask};

/// Where titles go.
#[derive(Debug)]
pub enum Loader {
    /// The catalogue in this process.
    Embedded(Embedded),
    /// A backend that takes imports.
    Batch(Box<Batch>),
    /// A backend that speaks the import contract.
    Contract(Box<Contract>),
    /// Nowhere.
    DryRun(DryRun),
}

impl Loader {
    /// Loads one title. `known` is the fingerprint of the record that this very target acknowledged last, if the
    /// ledger knows one. A refused title is an outcome; an error means that nothing more can be loaded.
    pub async fn load(&self, record: &TitleRecord, known: Option<&str>) -> Result<Outcome, LoadError> {
        match self {
            Self::Embedded(embedded) => embedded.load(record).await,
            Self::Batch(batch) => batch.load(record, known).await,
            Self::Contract(contract) => contract.load(record, known).await,
            Self::DryRun(dry_run) => dry_run.load(record, known).await,
        }
    }

    /// The identity that fingerprints in the ledger belong to: another target knows nothing of them.
    pub fn target(&self) -> String {
        match self {
            Self::Embedded(embedded) => embedded.target(),
            Self::Batch(batch) => batch.target().to_owned(),
            Self::Contract(contract) => contract.target().to_owned(),
            Self::DryRun(dry_run) => dry_run.target(),
        }
    }

    /// Titles are of this run from now on.
    pub async fn begin(&self, run: &str) {
        if let Self::Batch(batch) = self {
            batch.begin(run).await;
        }
    }

    /// Finishes what is under way and closes files, without holding up the runtime.
    pub async fn close(self) {
        if let Self::Batch(batch) = &self {
            batch.close().await;
        }
        // Closing folds the write-ahead log back. The thread cannot fail: it only drops.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}
