//! Opening a state with 100,000 finished titles, from the start of the process to its end.

use std::path::Path;
use std::process::Command;

use parser::checkpoint::{Checkpoint, LedgerEntry, RunMode, RunSpec, StatePaths, Status};
use parser::model::SeriesId;

use super::scratch;
use crate::options::Options;
use crate::process::measure;
use crate::report::{about, figure, mebibytes, milliseconds};

const TITLES: u64 = 100_000;

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let state = scratch()?.join("startup");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    let paths = StatePaths::resolve(&state, &scratch()?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(fill(&paths))?;
    let mut costs = Vec::new();
    for _ in 0..options.runs {
        let mut command = Command::new(parser);
        command.args(["state", "show", "--json", "--state"]).arg(&state).current_dir(scratch()?);
        costs.push(measure(&mut command, &state.with_extension("log"))?);
    }
    about(
        &format!("start-up: `parser state show` with {TITLES} titles in the ledger"),
        &format!("-- startup --runs {}", options.runs),
    );
    figure("  wall time", costs.iter().map(|cost| milliseconds(cost.wall)).collect(), "ms", Some(200.0));
    figure("  CPU", costs.iter().map(|cost| milliseconds(cost.cpu)).collect(), "ms", None);
    figure("  peak memory", costs.iter().map(|cost| mebibytes(cost.peak)).collect(), "MiB", Some(40.0));
    Ok(())
}

async fn fill(paths: &StatePaths) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let checkpoint = Checkpoint::open(paths, now, "benchmark")?;
    checkpoint.begin_run(RunSpec::new(RunMode::Full), now).await?;
    let marks = (1..=TITLES).map(|id| {
        let mut entry = LedgerEntry::new(SeriesId(id), format!("Invented Title No. {id}"), Status::Done, now);
        entry.fingerprint = Some(u128::from(id).to_be_bytes());
        entry.episodes = 12;
        checkpoint.mark(entry)
    });
    let mut marks = futures::StreamExt::buffer_unordered(futures::stream::iter(marks), 1000);
    while let Some(marked) = futures::StreamExt::next(&mut marks).await {
        marked?;
    }
    Ok(())
}
