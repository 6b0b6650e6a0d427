//! `parser process KIND|all`: runs the jobs that bring staged records into the catalogue, now and in the foreground.

use std::path::Path;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;

use crate::backend::BackendError;
use crate::backend::jobs::{JobOptions, Jobs, RunOptions, Trigger};
use crate::config::Layers;
use crate::model::RecordKind;
use crate::store::jobs::RunCounts;

use super::backend::{Backend, job_options};
use super::exit::Exit;
use super::signals::Signals;
use super::{complain, messages, print_bytes};

/// `parser process`.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    /// `character`, `pet`, `series`, `release`, or `all`
    #[arg(value_parser = kinds)]
    pub kind: Kinds,

    /// Also try records that were refused before
    #[arg(long)]
    pub retry_errors: bool,

    /// Process at most this many records of each kind
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Print the outcome as JSON
    #[arg(long)]
    pub json: bool,
}

/// Which jobs, in the order in which they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(pub Vec<RecordKind>);

fn kinds(text: &str) -> Result<Kinds, String> {
    match text {
        "all" => Ok(Kinds(RecordKind::ALL.to_vec())),
        one => one.parse().map(|kind| Kinds(vec![kind])).map_err(|error| format!("{error} or `all`")),
    }
}

/// What became of one job.
#[derive(Debug, Serialize)]
struct Outcome {
    job: RecordKind,
    /// Another process runs it.
    busy: bool,
    #[serde(flatten)]
    counts: RunCounts,
}

pub(super) fn execute(args: &ProcessArgs, layers: &Layers, folder: &Path) -> Exit {
    let backend = match Backend::of(layers, folder) {
        Ok(backend) => backend,
        Err(exit) => return exit,
    };
    let options = match job_options(&backend.settings.jobs) {
        Ok(options) => options,
        Err(error) => {
            messages::error(&error.to_string(), None);
            return Exit::Usage;
        }
    };
    backend.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => {
                messages::error(&format!("cannot wait for signals: {error}"), None);
                return Exit::Usage;
            }
        };
        let (stop, stopped) = watch::channel(false);
        let work = run(args, &backend, options, &stopped);
        tokio::pin!(work);
        let mut signal = None;
        let outcomes = loop {
            tokio::select! {
                biased;
                outcomes = &mut work => break outcomes,
                by = signals.next() => {
                    if let Some(first) = signal {
                        // The second one: at once. What is claimed is free again when its lease has run out.
                        return first;
                    }
                    signal = Some(by);
                    stop.send_replace(true);
                }
            }
        };
        match outcomes {
            Ok(outcomes) => signal.unwrap_or_else(|| exit(&outcomes)).max_of(show(args, &outcomes)),
            Err(error) => complain(&error, &backend.redactor),
        }
    })
}

async fn run(
    args: &ProcessArgs,
    backend: &Backend,
    options: JobOptions,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<Outcome>, BackendError> {
    let jobs = Jobs::new(backend.open().await?, options);
    jobs.prepare().await?;
    let options = RunOptions { retry_errors: args.retry_errors, limit: args.limit };
    let mut outcomes = Vec::new();
    for job in args.kind.0.iter().copied() {
        if *stop.borrow() {
            break;
        }
        let begun = jobs.begin(job, Trigger::Command, options).await?;
        let busy = begun.is_none();
        let counts = match begun {
            Some(begun) => jobs.run(begun, stop).await?,
            None => RunCounts::default(),
        };
        outcomes.push(Outcome { job, busy, counts });
    }
    Ok(outcomes)
}

fn exit(outcomes: &[Outcome]) -> Exit {
    if let Some(busy) = outcomes.iter().find(|outcome| outcome.busy) {
        messages::error(
            &format!("the job `{}` is running in another process", busy.job),
            Some("wait for it to end, then run this again"),
        );
        return Exit::Backend;
    }
    let failed: u64 = outcomes.iter().map(|outcome| outcome.counts.failed).sum();
    if failed == 0 {
        return Exit::Done;
    }
    messages::error(
        &format!("{failed} records were refused"),
        Some(
            "`parser staging list --in-state with_errors` says why; mend them, then `parser process KIND --retry-errors`",
        ),
    );
    Exit::SomeFailed
}

fn show(args: &ProcessArgs, outcomes: &[Outcome]) -> Exit {
    let text = if args.json {
        serde_json::to_string_pretty(&serde_json::json!({ "jobs": outcomes })).unwrap_or_default() + "\n"
    } else {
        let line = |outcome: &Outcome| {
            let RunCounts { written, unchanged, waiting, failed } = outcome.counts;
            let busy = if outcome.busy { " (running elsewhere)" } else { "" };
            format!(
                "{:<10} {written} written, {unchanged} unchanged, {waiting} waiting, {failed} refused{busy}\n",
                outcome.job.as_str()
            )
        };
        outcomes.iter().map(line).collect()
    };
    print_bytes(text.as_bytes())
}
