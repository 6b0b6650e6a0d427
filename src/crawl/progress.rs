//! What a crawl tells whoever watches it. The command line draws bars with it; tests and cron use [`Silent`].

use crate::model::Outcome;

/// The two phases of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseKind {
    /// Walking Kodik's list.
    Listing,
    /// Fetching, transforming and loading titles.
    Titles,
}

/// A watcher of a crawl.
pub trait Progress {
    /// A phase begins; `total` units are expected (materials or titles), `done` of them are done already.
    fn phase(&self, phase: PhaseKind, done: u64, total: Option<u64>);

    /// A page of materials is landed; `materials` so far, of `total` if the source said so.
    fn page(&self, page: u32, materials: u64, total: Option<u64>);

    /// A title is finished.
    fn title(&self, outcome: &Outcome);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _phase: PhaseKind, _done: u64, _total: Option<u64>) {}
    fn page(&self, _page: u32, _materials: u64, _total: Option<u64>) {}
    fn title(&self, _outcome: &Outcome) {}
}
