//! `parser state show|export|import|reset|repair`: the state on disk, looked at, moved and mended.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use crate::checkpoint::admin::{self, CheckpointRepair, Repaired, Summary};
use crate::checkpoint::{LockStatus, StateError, StatePaths, transfer};

/// What to do with the state.
#[derive(Debug, Clone, Subcommand)]
pub enum StateCommand {
    /// Show where the crawl stands: unfinished run, last run, titles, failures, who holds the lock
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the whole state as one JSON document
    Export {
        /// The file to write; `-` is standard output
        #[arg(default_value = "-")]
        path: PathBuf,
    },
    /// Replace the state by an exported one or by a state of the former crawler; the old one is kept beside it
    Import {
        /// The file to read
        path: PathBuf,
    },
    /// Put the state aside and start anew; landed pages and the catalogue stay
    Reset {
        /// Keep what is known of the titles, so that unchanged ones are not loaded again
        #[arg(long)]
        keep_ledger: bool,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
    /// Keep all that is readable of a damaged state, and the rest beside it
    Repair,
}

/// Does it, and prints what was done to `out`.
pub fn run(command: StateCommand, paths: &StatePaths, out: &mut dyn Write) -> Result<(), StateError> {
    let now = Timestamp::now();
    let text = match command {
        StateCommand::Show { json } => {
            let summary = admin::show(paths, now)?;
            if json { to_json(&summary)? } else { show(&summary) }
        }
        StateCommand::Export { path } if path == Path::new("-") => {
            transfer::export(paths, now, out)?;
            String::new()
        }
        StateCommand::Export { path } => {
            let titles = transfer::export_to_file(paths, &path, now)?;
            format!("exported {titles} titles to {}\n", path.display())
        }
        StateCommand::Import { path } => {
            let done = transfer::import(paths, &path, now)?;
            let mut text = format!("imported {} titles into {}\n", done.titles, paths.checkpoint.display());
            text.extend(done.rejected.iter().map(|line| format!("not usable: {line}\n")));
            text + &kept(&done.backups)
        }
        StateCommand::Reset { yes: false, .. } => {
            return Err(StateError::Unconfirmed { path: paths.checkpoint.clone() });
        }
        StateCommand::Reset { keep_ledger, .. } => {
            let done = admin::reset(paths, keep_ledger, now)?;
            let titles = if keep_ledger { ", the titles stay known" } else { "" };
            format!("the next run starts anew{titles}\n{}", kept(&done.backups))
        }
        StateCommand::Repair => repaired(&admin::repair(paths, now)?),
    };
    out.write_all(super::harmless(&text).as_bytes())
        .map_err(|error| StateError::io("write", Path::new("standard output"), error))
}

fn to_json(summary: &Summary) -> Result<String, StateError> {
    serde_json::to_string_pretty(summary)
        .map(|text| text + "\n")
        .map_err(|error| StateError::json(&summary.checkpoint, &error))
}

fn kept(backups: &[PathBuf]) -> String {
    let mut text = String::new();
    for path in backups {
        text += "kept ";
        text += &path.to_string_lossy();
        text.push('\n');
    }
    text
}

pub(super) fn show(summary: &Summary) -> String {
    let mut lines = vec![format!("state        {}", summary.checkpoint.display())];
    if !summary.exists {
        lines.push("             nothing there yet: the first run makes it".to_owned());
    }
    lines.push(format!("version      {}", summary.version));
    lines.push(match &summary.lock {
        LockStatus::Free => "in use       no".to_owned(),
        LockStatus::Held(holder) => format!("in use       by {holder}"),
    });
    lines.push(match &summary.run {
        None => "unfinished   no run; `--resume` starts a new one".to_owned(),
        Some(run) => format!(
            "unfinished   {} run {} since {:.0}: {} phase, {} pages, {} titles ({} failed)",
            run.mode,
            run.seq,
            run.started_at,
            run.phase.as_str(),
            run.last_page,
            run.counters.extracted,
            run.counters.failed
        ),
    });
    lines.push(match &summary.last_run {
        None => "last run     none finished".to_owned(),
        Some(last) => format!(
            "last run     {}finished {:.0}, exit {}: {} titles, {} loaded, {} unchanged, {} failed, {} skipped",
            last.mode.map(|mode| format!("{mode} ")).unwrap_or_default(),
            last.finished_at,
            last.exit,
            last.counters.extracted,
            last.counters.loaded,
            last.counters.unchanged,
            last.counters.failed,
            last.counters.skipped
        ),
    });
    lines.push(format!("watermark    {}", summary.watermark.as_deref().unwrap_or("none")));
    lines.push(format!("backend      {}", summary.target.as_deref().unwrap_or("none yet")));
    let titles = &summary.titles;
    lines.push(format!(
        "titles       {} known: {} loaded, {} unchanged, {} failed, {} skipped",
        titles.titles, titles.done, titles.unchanged, titles.failed, titles.skipped
    ));
    lines.extend(summary.failures.iter().map(|failed| {
        let again = if failed.retryable { " (is tried again)" } else { "" };
        format!("  failed     {} {}: {}{again}", failed.id, failed.title, failed.reason)
    }));
    let more = titles.failed.saturating_sub(summary.failures.len() as u64);
    if more > 0 {
        lines.push(format!("  failed     and {more} more"));
    }
    lines.extend(summary.notices.iter().map(|notice| format!("note         {notice}")));
    lines.push(String::new());
    lines.join("\n")
}

fn repaired(done: &Repaired) -> String {
    let mut lines = vec![match &done.checkpoint {
        CheckpointRepair::Intact => "the checkpoint is in order".to_owned(),
        CheckpointRepair::Absent => "there is no checkpoint and no title".to_owned(),
        CheckpointRepair::Rebuilt { backup, reason } => {
            let kept = backup.as_ref().map(|path| format!("; the old one is {}", path.display())).unwrap_or_default();
            format!("made the checkpoint anew from the ledger ({reason}){kept}; the unfinished run has to start again")
        }
        CheckpointRepair::Migrated { backup } => {
            format!("took over the former crawler's state; the old one is {}", backup.display())
        }
    }];
    lines.push(format!("the ledger has {} good lines", done.kept));
    if done.torn > 0 {
        lines.push(format!("cut off a torn last line ({} bytes)", done.torn));
    }
    if done.rejected > 0 {
        lines.push(format!("took out {} bad lines:", done.rejected));
        lines.extend(done.bad_lines.iter().map(|bad| format!("  line {}: {}", bad.line, bad.reason)));
        if let (Some(rejects), Some(backup)) = (&done.rejects, &done.ledger_backup) {
            lines.push(format!("they are in {}, the whole old ledger is {}", rejects.display(), backup.display()));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
