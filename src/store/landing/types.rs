//! What goes into the landing and comes out of it.

use bytes::Bytes;

use jiff::Timestamp;

use crate::model::{MaterialId, SeriesId, SkipReason};

/// How far a listing of the whole catalogue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingPosition {
    /// Number of the listing, growing.
    pub generation: u64,
    /// The run that began it.
    pub run_id: String,
    /// Last landed page; 0 = none yet.
    pub page: u64,
    /// Where the next page starts; `None` on page 0 and after the last page.
    pub cursor: Option<String>,
    /// All pages are landed.
    pub finished: bool,
    /// How many materials the source said there are.
    pub total: Option<u64>,
}

/// One list item, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedMaterial {
    /// Its id.
    pub id: MaterialId,
    /// The title it belongs to, if it names a usable one.
    pub series: Option<SeriesId>,
    /// `updated_at` as the source writes it.
    pub updated_at: Option<String>,
    /// The JSON object.
    pub raw: Bytes,
}

/// A list item that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedMaterial {
    /// Page it was on (set by the landing when it is written).
    pub page: u64,
    /// Its id, if that much was readable.
    pub id: Option<String>,
    /// The title it belongs to, if that much was readable.
    pub series: Option<SeriesId>,
    /// What is wrong.
    pub reason: String,
    /// Its bytes.
    pub raw: Bytes,
}

/// A page with everything that has to become durable together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LandedPage {
    /// Its number, from 1.
    pub page: u64,
    /// Its items in the source's order.
    pub materials: Vec<LandedMaterial>,
    /// Its unreadable items.
    pub rejected: Vec<RejectedMaterial>,
    /// Where the next page starts; `None` = this was the last one.
    pub next: Option<String>,
    /// How many materials the source says there are.
    pub total: Option<u64>,
}

/// Which API metadata came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandedOrigin {
    /// One element of GraphQL `animes`.
    GraphQl,
    /// REST `/api/animes/:id`.
    Rest,
    /// The source hides the title or has none, for the given reason.
    Absent(SkipReason),
}

/// Metadata of one title, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedMetadata {
    /// The title.
    pub series: SeriesId,
    /// The run that fetched it.
    pub run_id: String,
    /// Where it came from.
    pub origin: LandedOrigin,
    /// The JSON object; for an absent title the body of the refusal.
    pub raw: Bytes,
    /// When it was fetched, to the millisecond.
    pub fetched_at: Timestamp,
}

/// How far a run that collects title ids stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectPosition {
    /// Last page whose ids are collected.
    pub page: u64,
    /// Where the next page starts.
    pub cursor: Option<String>,
    /// All ids are collected.
    pub finished: bool,
    /// The newest `updated_at` seen: the next run's watermark.
    pub mark: Option<String>,
}
