//! What a run says at its end: to the person, to `--json`, to the report and to the exit code.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::checkpoint::{Counters, Health, RunMode, RunState, ServiceHealth};
use crate::error::Fault as _;
use crate::extract::DriftEntry;
use crate::http::Stats;
use crate::model::SeriesId;

use super::{CrawlError, Tally};

/// The summary of one process's part of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The run's id; `None` if it did not even begin.
    pub run: Option<String>,
    /// Its mode.
    pub mode: Option<RunMode>,
    /// When it began (perhaps in an earlier process).
    pub started_at: Option<Timestamp>,
    /// Wall time of this process.
    pub seconds: f64,
    /// How it ended.
    #[serde(serialize_with = "end")]
    pub end: End,
    /// What this process did.
    pub titles: Tally,
    /// What the run did in all, earlier processes included.
    pub whole_run: Counters,
    /// Pages listed in the run.
    pub pages: u32,
    /// Where the titles went.
    pub target: String,
    /// What each service cost this process.
    pub services: Vec<ServiceLine>,
    /// Fields and types that the sources send and this version does not know.
    pub drift: Vec<DriftEntry>,
    /// The first failed titles with their reasons; the ledger has all of them.
    pub failures: Vec<FailureLine>,
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// Nothing is left to do.
    Finished,
    /// Stopped by request; `--resume` goes on.
    Stopped,
    /// Stopped by an error; `--resume` goes on once it is mended.
    Failed(CrawlError),
}

impl End {
    /// The word in logs and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        }
    }

    /// What went wrong, and what to do about it.
    fn words(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Failed(error) => (Some(crate::error::chain(error)), error.hint().map(std::borrow::Cow::into_owned)),
            _ => (None, None),
        }
    }
}

/// A failed title.
#[derive(Debug, Clone, Serialize)]
pub struct FailureLine {
    /// Shikimori id; `None` for a material that names none.
    pub series: Option<SeriesId>,
    /// Display title, when it was known.
    pub title: String,
    /// What went wrong, then stage and code for grouping.
    pub reason: String,
}

impl FailureLine {
    /// More are counted, not listed.
    pub const MAX: usize = 20;
}

/// What one service cost.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceLine {
    /// Its name.
    pub service: &'static str,
    /// Attempts, retries included.
    pub requests: u64,
    /// Of them, retries.
    pub retries: u64,
    /// Of them, those that brought no usable answer.
    pub failed: u64,
    /// 429 answers.
    pub throttled: u64,
    /// Times the circuit breaker opened.
    pub breaker_opened: u64,
    /// Waiting for its limits, summed over requests.
    pub waited_seconds: f64,
    /// Waiting for its answers, summed over attempts.
    pub on_wire_seconds: f64,
}

impl ServiceLine {
    /// A line from a service's counters.
    pub fn new(service: &'static str, stats: &Stats) -> Self {
        Self {
            service,
            requests: stats.requests,
            retries: stats.retries,
            failed: stats.failed,
            throttled: stats.throttled,
            breaker_opened: stats.breaker_opened,
            waited_seconds: stats.waited.as_secs_f64(),
            on_wire_seconds: stats.on_wire.as_secs_f64(),
        }
    }
}

impl Summary {
    /// Titles that failed in the whole run, or what could not become a title at all.
    pub fn failed(&self) -> u64 {
        self.whole_run.failed.max(self.titles.failed)
    }

    /// The same for whoever looks at the state later.
    pub(super) fn health(&self, now: Timestamp) -> Health {
        let (error, hint) = self.end.words();
        let service = |line: &ServiceLine| ServiceHealth {
            service: line.service.to_owned(),
            requests: line.requests,
            retries: line.retries,
            failed: line.failed,
            throttled: line.throttled,
            breaker_opened: line.breaker_opened,
            waited_seconds: line.waited_seconds,
            on_wire_seconds: line.on_wire_seconds,
        };
        Health {
            run: self.run.clone(),
            mode: self.mode,
            started_at: self.started_at,
            ended_at: now,
            end: self.end.as_str().to_owned(),
            error,
            hint,
            titles: self.whole_run,
            target: self.target.clone(),
            services: self.services.iter().map(service).collect(),
        }
    }

    pub(super) fn new(run: Option<&RunState>, end: End, titles: Tally, elapsed: Duration) -> Self {
        Self {
            run: run.map(|run| run.id.to_string()),
            mode: run.map(|run| run.mode),
            started_at: run.map(|run| run.started_at),
            seconds: elapsed.as_secs_f64(),
            end,
            titles,
            whole_run: Counters::default(),
            pages: 0,
            target: String::new(),
            services: Vec::new(),
            drift: Vec::new(),
            failures: Vec::new(),
        }
    }
}

fn end<S: Serializer>(end: &End, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        state: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    }
    let (error, hint) = end.words();
    Line { state: end.as_str(), error, hint }.serialize(serializer)
}
