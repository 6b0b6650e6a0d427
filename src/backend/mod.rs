//! What a backend does with a transformed title. The catalogue importer is the only code that changes canonical tables.

pub mod catalogue;
mod error;
mod merge;
pub mod names;
pub mod plan;

pub use catalogue::{Catalogue, ImportOutcome};
pub use error::BackendError;
pub use plan::{FieldChange, Plan};
