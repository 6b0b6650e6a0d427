//! Plain data that the rooms hand to each other. No I/O, no clock.
//!
//! `raw` is what the sources say (tolerant, as received); everything else is what the product means.

pub mod bulk;
pub mod ids;
pub mod imports;
pub mod messages;
pub mod outcome;
pub mod raw;
pub mod record;
pub mod schemas;
pub mod title;

pub use bulk::{
    Atomic, DEFAULT_NODE_KIND, ImportFormat, LONGEST_NODE_KEY, NodesOptions, RowCounts, TableSchema, TablesOptions,
};
pub use ids::{EpisodeId, MaterialId, SeriesId, TranslationId};
pub use imports::{ImportStatus, ResultCounts, ResultStatus};
pub use outcome::{Change, Failure, Outcome, SkipReason, Writes};
pub use record::{Collision, ImportId, RecordKind, UnknownWord};
pub use title::{
    Character, CharacterRole, Date, Episode, EpisodeClass, EpisodeKey, MetadataOrigin, Release, Series, SeriesStatus,
    Signals, TitleRecord, Translation, TranslationKind, Video, Withheld,
};
