//! A crawl run: list → fetch → transform → load → checkpoint. [`Crawl::run`] is the whole pipeline at a glance.
//!
//! `full` works in two resumable phases. The *listing* lands every page raw (page and cursor in one transaction); the
//! *titles* phase groups the landed materials by series, fetches metadata 50 at a time, transforms, loads and marks
//! each title. The other modes touch few titles: they collect ids first and see each title whole through `/search`.

mod close;
mod collect;
mod error;
mod fetch;
mod listing;
mod options;
mod progress;
mod report;
mod services;
mod stop;
mod summary;
mod tally;
mod title;
mod titles;
mod translations;

use std::cell::RefCell;
use std::time::Instant;

use jiff::Timestamp;

use crate::checkpoint::{Checkpoint, Phase, RunMode, RunSpec, RunState};
use crate::extract::{Drift, Sources};
use crate::http::Service;
use crate::load::Loader;
use crate::observe::events;
use crate::store::landing::Landing;
use crate::transform::Rules;

use listing::plausible;

pub use error::CrawlError;
pub use options::{Mode, Options};
pub use progress::{PhaseKind, Progress, Silent};
pub use report::ReportWriter;
pub use services::Services;
pub use stop::Stop;
pub use summary::{End, FailureLine, ServiceLine, Summary};
pub use tally::{FailureStreak, Tally};

/// Everything one run needs. Built by the command line; consumed by [`Crawl::run`].
#[derive(Debug)]
pub struct Crawl<'a> {
    /// The sources; `None` with `--from-landing`, which asks nobody.
    pub sources: Option<Sources>,
    /// Counts what the sources send and we do not know.
    pub drift: Drift,
    /// Raw payloads.
    pub landing: Landing,
    /// Where the run stands.
    pub checkpoint: Checkpoint,
    /// Rules of the transform.
    pub rules: Rules,
    /// Where titles go.
    pub loader: Loader,
    /// What was asked for.
    pub options: Options,
    /// Who watches.
    pub progress: &'a dyn Watch,
    /// How to stop.
    pub stop: Stop,
    /// The report, if one was asked for.
    pub report: Option<RefCell<ReportWriter>>,
    /// The clients, for what they cost.
    pub services: Vec<Service>,
    /// The first failures of this process.
    pub failures: RefCell<Vec<FailureLine>>,
}

/// A [`Progress`] that can be part of a debuggable crawl.
pub trait Watch: Progress + std::fmt::Debug {}

impl<T: Progress + std::fmt::Debug> Watch for T {}

/// What a phase ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Nothing is left to do.
    Done,
    /// Somebody asked to stop.
    Stopped,
}

impl Crawl<'_> {
    /// Runs to the end, to a stop, or to an error; the summary tells which, and what was done until then.
    pub async fn run(mut self) -> Summary {
        let started = Instant::now();
        let tally = RefCell::new(Tally::default());
        let (run, end) = match self.begin().await {
            Ok(run) => {
                self.loader.begin(&run.id.to_string()).await;
                let end = match self.learn_and_load(&run, &tally).await {
                    Ok(Flow::Done) => End::Finished,
                    Ok(Flow::Stopped) => End::Stopped,
                    Err(error) => End::Failed(error),
                };
                (Some(run), end)
            }
            Err(error) => (None, End::Failed(error)),
        };
        self.close(run, end, tally.into_inner(), started.elapsed()).await
    }

    async fn learn_and_load(&mut self, run: &RunState, tally: &RefCell<Tally>) -> Result<Flow, CrawlError> {
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            learnt = self.learn_translations(run) => learnt?,
            // Nothing is in flight yet, and a source that hangs must not hold up a stop.
            () = stop.requested() => return Ok(Flow::Stopped),
        }
        self.phases(run, tally).await
    }

    /// The pipeline. Each phase goes on where the checkpoint says it stands.
    async fn phases(&self, run: &RunState, tally: &RefCell<Tally>) -> Result<Flow, CrawlError> {
        if run.phase == Phase::Listing {
            let flow = match Self::view(run) {
                View::Landed => self.list_everything(run).await?,
                View::Search => self.collect_ids(run).await?,
            };
            if flow == Flow::Stopped {
                return Ok(flow);
            }
            self.checkpoint.enter_titles_phase().await?;
        }
        self.load_titles(run, tally).await
    }

    /// The run to go on with, or a new one.
    async fn begin(&mut self) -> Result<RunState, CrawlError> {
        self.refuse_other_sources()?;
        self.checkpoint.set_target(&self.target()).await?;
        if self.options.resume
            && let Some(run) = self.checkpoint.resumable()
            // A run that asks the sources cannot go on without them: half a listing would pass for a whole one.
            && (run.from_landing || !self.options.from_landing)
        {
            if run.from_landing {
                self.sources = None;
            }
            let run = self.agree_with_landing(run).await?;
            events::run_started(run.mode.as_str(), "resume", run.phase.as_str(), run.last_page);
            return Ok(run);
        }
        let spec = self.spec().await?;
        let run = self.checkpoint.begin_run(spec, Timestamp::now()).await?;
        events::run_started(run.mode.as_str(), "start", run.phase.as_str(), 0);
        Ok(run)
    }

    /// What a new run is to be.
    async fn spec(&self) -> Result<RunSpec, CrawlError> {
        let mode = match self.options.mode.unwrap_or(Mode::Full) {
            Mode::Incremental
                if self.checkpoint.watermark().and_then(|at| plausible(&at, Timestamp::now())).is_none() =>
            {
                // Nothing has ever finished, so everything is new; a whole listing is far cheaper than a search each.
                events::no_watermark();
                Mode::Full
            }
            mode => mode,
        };
        let mut spec = RunSpec::new(match mode {
            Mode::Full => RunMode::Full,
            Mode::Incremental => RunMode::Incremental,
            Mode::Ongoing => RunMode::Ongoing,
            Mode::One(_) => RunMode::One,
        });
        if let Mode::One(id) = mode {
            spec.source_id = Some(id);
        }
        spec.max_pages = self.options.max_pages;
        spec.limit = self.options.limit;
        spec.from_landing = self.options.from_landing;
        if self.options.from_landing {
            let Some(listing) = self.landing.listing().await?.filter(|listing| listing.finished) else {
                return Err(CrawlError::NothingLanded { path: self.landing.path().to_owned() });
            };
            spec.generation = listing.generation;
        }
        Ok(spec)
    }

    /// How the run sees a title: whole, either way.
    fn view(run: &RunState) -> View {
        if run.mode == RunMode::Full && run.max_pages.is_none() { View::Landed } else { View::Search }
    }

    fn target(&self) -> String {
        let loader = self.loader.target();
        if self.options.sandbox { format!("{SANDBOX}{loader}") } else { loader }
    }

    /// Invented titles must not mix with real ones.
    fn refuse_other_sources(&self) -> Result<(), CrawlError> {
        match self.checkpoint.target() {
            Some(target) if target.starts_with(SANDBOX) != self.options.sandbox => Err(CrawlError::OtherSources {
                folder: self.checkpoint.paths().dir.clone(),
                sandbox: !self.options.sandbox,
            }),
            _ => Ok(()),
        }
    }
}

/// Marks the target of a state that the sandbox filled.
const SANDBOX: &str = "sandbox:";

/// Where a title's materials come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// The finished listing.
    Landed,
    /// A `/search` of its own.
    Search,
}
