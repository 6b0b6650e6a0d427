//! What a backend does with a transformed title. The catalogue importer is the only code that changes canonical tables.

mod browse;
pub mod catalogue;
pub mod contract;
mod error;
mod inspect;
mod merge;
pub mod names;
pub mod plan;

pub use catalogue::{Catalogue, ImportOutcome};
pub use contract::{EpisodePart, EpisodesOutcome, VideoPart};
pub use error::BackendError;
pub use plan::{FieldChange, Plan};
