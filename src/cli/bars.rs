//! Progress bars on a terminal: one for each phase, with rate, ETA and failures. Elsewhere nothing is drawn.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::crawl::{PhaseKind, Progress};
use crate::model::Outcome;

static SCREEN: OnceLock<MultiProgress> = OnceLock::new();

fn screen() -> &'static MultiProgress {
    SCREEN.get_or_init(MultiProgress::new)
}

/// Runs a write to the terminal while the bars are out of the way.
pub(super) fn suspend(write: &mut dyn FnMut()) {
    match SCREEN.get() {
        Some(screen) => screen.suspend(write),
        None => write(),
    }
}

/// Is a person watching standard error?
pub(super) fn wanted() -> bool {
    std::io::stderr().is_terminal()
}

/// Puts a bar on the screen.
pub(super) fn add(bar: ProgressBar) -> ProgressBar {
    screen().add(bar)
}

/// The two bars of a crawl.
#[derive(Debug)]
pub(super) struct Bars {
    listing: ProgressBar,
    titles: ProgressBar,
    failed: AtomicU64,
}

impl Bars {
    /// Bars on the terminal.
    pub(super) fn new() -> Self {
        let bar = |template: &str| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::hidden().with_style(style)
        };
        Self {
            listing: bar("listing {bar:30} {pos}/{len} materials  {per_sec}  eta {eta}  {msg}"),
            titles: bar("titles  {bar:30} {pos}/{len} titles  {per_sec}  eta {eta}  {msg}"),
            failed: AtomicU64::new(0),
        }
    }

    /// Leaves the bars as they are on the screen and stops drawing.
    pub(super) fn finish(&self) {
        for bar in [&self.listing, &self.titles] {
            if !bar.is_hidden() && !bar.is_finished() {
                bar.abandon();
            }
        }
    }
}

impl Progress for Bars {
    fn phase(&self, phase: PhaseKind, done: u64, total: Option<u64>) {
        let bar = match phase {
            PhaseKind::Listing => &self.listing,
            PhaseKind::Titles => {
                if !self.listing.is_hidden() {
                    self.listing.finish();
                }
                &self.titles
            }
        };
        let added = screen().add(bar.clone());
        match total {
            Some(total) => added.set_length(total),
            None => added.unset_length(),
        }
        added.set_position(done);
        // What an earlier run did must not count in the rate.
        added.reset_eta();
        added.enable_steady_tick(std::time::Duration::from_millis(200));
    }

    fn page(&self, page: u32, materials: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.listing.set_length(total.max(materials));
        }
        self.listing.set_position(materials);
        self.listing.set_message(format!("page {page}"));
    }

    fn title(&self, outcome: &Outcome) {
        self.titles.inc(1);
        if matches!(outcome, Outcome::Failed(_)) {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            self.titles.set_message(format!("{failed} failed"));
        }
    }
}
