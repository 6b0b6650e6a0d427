//! What a backend does with a transformed title. The catalogue importer is the only code that changes canonical tables.

mod browse;
pub mod catalogue;
pub mod contract;
#[cfg(feature = "kafka")]
pub mod dead_letters;
mod error;
pub mod groups;
pub mod importer;
pub mod imports;
mod inspect;
pub mod jobs;
mod merge;
pub mod nodes;
pub mod plan;
pub mod schedule;
pub mod services;
pub mod staging;
pub mod tasks;

pub use catalogue::{Catalogue, ImportOutcome};
pub use contract::{EpisodePart, EpisodesOutcome, VideoPart};
pub use error::BackendError;
pub use plan::{FieldChange, Plan};
