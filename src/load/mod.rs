//! Handing a transformed title to a backend: in process, over the existing import contract, or (dry run) not at all.

mod embedded;
mod error;

use crate::model::{Outcome, TitleRecord};

pub use embedded::Embedded;
pub use error::LoadError;

/// Where titles go.
#[derive(Debug)]
pub enum Loader {
    /// The catalogue in this process.
    Embedded(Embedded),
}

impl Loader {
    /// Loads one title. `known` is the fingerprint of the record that this very target acknowledged last, if the
    /// ledger knows one. A refused title is an outcome; an error means that nothing more can be loaded.
    pub async fn load(&self, record: &TitleRecord, _known: Option<&str>) -> Result<Outcome, LoadError> {
        match self {
            Self::Embedded(embedded) => embedded.load(record).await,
        }
    }

    /// The identity that fingerprints in the ledger belong to: another target knows nothing of them.
    pub fn target(&self) -> String {
        match self {
            Self::Embedded(embedded) => embedded.target(),
        }
    }

    /// Finishes what is under way and closes files.
    pub async fn close(self) -> Result<(), LoadError> {
        Ok(())
    }
}
