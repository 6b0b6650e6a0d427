//! Extract: reads the two sources into raw typed models, keeping the raw bytes, tolerating every known quirk.
//!
//! [`kodik`] lists and searches materials; [`shikimori`] gives metadata in batches. What was tolerated is counted in
//! [`Drift`]. Limits, retries and time-outs are the business of [`crate::http`].

pub mod drift;
mod error;
pub mod kodik;
pub mod parse;
pub mod shikimori;
mod text;

pub use drift::{Drift, DriftEntry, DriftKind};
pub use error::ExtractError;
pub use kodik::{Cursor, Kodik, KodikOptions, ListPage, Order, RawMaterial, Rejected, RepeatGuard};
pub use parse::Malformed;
pub use shikimori::{Fetched, Shikimori, ShikimoriOptions};

/// Both sources and the count of what they sent unexpectedly. Clones share limits and counters.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Materials.
    pub kodik: Kodik,
    /// Metadata.
    pub shikimori: Shikimori,
    /// Unknown fields and wrong types so far.
    pub drift: Drift,
}
