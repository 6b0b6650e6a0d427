//! What a run prints at its end: a table, the reasons of failures, where the data is, and what to do next.

use std::fmt::Write as _;

use crate::checkpoint::StatePaths;
use crate::config::Settings;
use crate::crawl::{End, Summary};
use crate::load::{Action, Preview};
use crate::observe::Redactor;
use crate::store::Location;

use super::args::{ModeArg, RunArgs};
use super::table::{grouped, plain};
use super::{messages, place};

/// More lines of drift than this are counted, not listed.
const DRIFT_LINES: usize = 10;

/// Prints the summary: the table (or JSON) on standard output, trouble and advice on standard error.
pub(super) fn print(summary: &Summary, args: &RunArgs, settings: &Settings, paths: &StatePaths, redactor: &Redactor) {
    let text = if args.json { serde_json::to_string(summary).unwrap_or_default() + "\n" } else { table(summary, args) };
    super::print_bytes(super::harmless(&redactor.redact(&text)).as_bytes());
    let mut advice = String::new();
    let mut trouble = None;
    failures(summary, &mut advice);
    drift(summary, &mut advice);
    match &summary.end {
        End::Failed(error) => {
            trouble = Some(error);
        }
        End::Stopped if args.dry_run => {
            let _ = writeln!(advice, "stopped; nothing was written");
        }
        End::Stopped => {
            let _ = writeln!(advice, "stopped; the checkpoint is saved. To go on:\n  {}", resume_command(args));
        }
        End::Finished if args.dry_run => {
            let _ = writeln!(advice, "dry run: nothing was written");
        }
        End::Finished => {
            next_step(args, settings, paths, &mut advice);
            if summary.failed() > 0 {
                let _ = writeln!(
                    advice,
                    "hint: `parser run --resume` tries the failed titles again; `parser state show` lists them"
                );
            }
        }
    }
    messages::say(&redactor.redact(&advice));
    if let Some(error) = trouble {
        super::complain(error, redactor);
    }
}

/// The failures that are listed, those of one reason on one line.
fn failures(summary: &Summary, text: &mut String) {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for line in &summary.failures {
        let name = [line.series.map(|id| id.to_string()).unwrap_or_default(), line.title.clone()].join(" ");
        match groups.iter_mut().find(|(reason, _)| *reason == line.reason) {
            Some((_, names)) => names.push(name.trim().to_owned()),
            None => groups.push((&line.reason, vec![name.trim().to_owned()])),
        }
    }
    for (reason, names) in groups {
        let names = names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { names } else { names + ": " };
        let _ = writeln!(text, "failed: {names}{reason}");
    }
    let more = summary.failed().saturating_sub(summary.failures.len() as u64);
    if more > 0 && !summary.failures.is_empty() {
        let _ = writeln!(text, "failed: and {more} more; `parser state show` lists them");
    }
}

pub(super) fn resume_command(args: &RunArgs) -> String {
    // One title leaves an unfinished long run as it is; `--resume` would go on with that, or begin a full run.
    let mut command = match (args.mode, &args.source_id) {
        (Some(ModeArg::One), Some(id)) => format!("parser run --mode one --source-id {id}"),
        _ => "parser run --resume".to_owned(),
    };
    if args.sandbox {
        command.push_str(" --sandbox");
    }
    command
}

fn table(summary: &Summary, args: &RunArgs) -> String {
    let titles = &summary.titles;
    let mut table = plain(&[]);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    let mode = summary.mode.map_or_else(|| "–".to_owned(), |mode| mode.to_string());
    row("run", format!("{mode}{}, {}", if args.dry_run { " (dry run)" } else { "" }, summary.end.as_str()));
    row("titles", grouped(titles.extracted));
    row(if args.dry_run { "  would be created" } else { "  created" }, grouped(titles.created));
    row(if args.dry_run { "  would be updated" } else { "  updated" }, grouped(titles.updated));
    row("  unchanged", grouped(titles.unchanged));
    row("  failed", grouped(titles.failed));
    let reasons: Vec<_> = titles.skipped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!("  ({})", reasons.join(", ")) };
    row("  skipped", format!("{}{reasons}", grouped(titles.skipped_total())));
    if summary.whole_run.extracted > titles.extracted {
        row("whole run", format!("{} titles, earlier processes included", grouped(summary.whole_run.extracted)));
    }
    let writes = &titles.writes;
    row(
        if args.dry_run { "records that would be written" } else { "records written" },
        format!(
            "{} (series {}, episodes {}, videos {}, releases {}, characters {}, switched off {})",
            grouped(writes.total()),
            grouped(writes.series),
            grouped(writes.episodes),
            grouped(writes.videos),
            grouped(writes.releases),
            grouped(writes.characters),
            grouped(writes.deactivated),
        ),
    );
    row("pages listed", grouped(summary.pages.into()));
    for service in &summary.services {
        row(
            service.service,
            format!(
                "{} requests, {} retries, {} times 429, waited {:.1} s",
                grouped(service.requests),
                service.retries,
                service.throttled,
                service.waited_seconds
            ),
        );
    }
    row("time", format!("{:.1} s", summary.seconds));
    format!("{table}\n")
}

fn drift(summary: &Summary, text: &mut String) {
    if summary.drift.is_empty() {
        return;
    }
    let _ = writeln!(text, "schema drift: the sources send what this version does not know (kept in the landing):");
    for entry in summary.drift.iter().take(DRIFT_LINES) {
        let _ = writeln!(text, "  {entry}");
    }
    if summary.drift.len() > DRIFT_LINES {
        let _ = writeln!(text, "  and {} more; `--report` lists all", summary.drift.len() - DRIFT_LINES);
    }
}

fn next_step(args: &RunArgs, settings: &Settings, paths: &StatePaths, text: &mut String) {
    if let Some(backend) = &settings.backend {
        let _ = writeln!(text, "loaded into {}", backend.base_url);
    } else if let Location::Server(_) = place::catalogue(&settings.database, paths) {
        let _ = writeln!(text, "loaded into the PostgreSQL database of DATABASE_URL");
    } else {
        let _ = writeln!(text, "catalogue: {}", paths.catalog.display());
        let _ = writeln!(
            text,
            "  look at it: sqlite3 {} 'SELECT slug, title, status FROM series LIMIT 10'",
            paths.catalog.display()
        );
    }
    if args.sandbox {
        let _ = writeln!(
            text,
            "next: these titles are invented. For the real ones set KODIK_API_TOKEN (see .env.example) and STATE_PATH to\n\
             \x20 another folder, check with `parser diagnose`, then `parser run --mode full`"
        );
    }
}

/// One title of a dry run, as it comes.
pub(super) fn preview(preview: &Preview, json: bool) {
    if json {
        super::print_bytes((serde_json::to_string(preview).unwrap_or_default() + "\n").as_bytes());
        return;
    }
    let word = match preview.action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Unchanged => "unchanged",
        Action::Refused => "refused",
    };
    let mut text = format!("{word:<9} {} {}", preview.series, preview.title);
    let counts = [
        ("episodes +", preview.episodes_added),
        ("episodes -", preview.episodes_removed),
        ("videos +", preview.videos_added),
        ("videos -", preview.videos_removed),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(text, "  {name}{count}");
    }
    text.push('\n');
    for change in &preview.fields {
        let _ = writeln!(text, "    {}: {} → {}", change.name, shown(change.old.as_ref()), shown(change.new.as_ref()));
    }
    for reason in &preview.refused {
        let _ = writeln!(text, "    refused: {reason}");
    }
    super::print_bytes(super::harmless(&text).as_bytes());
}

/// A field's value on one line, not longer than a person wants to read.
fn shown(value: Option<&String>) -> String {
    const LONGEST: usize = 100;
    match value {
        None => "–".to_owned(),
        Some(text) if text.chars().count() > LONGEST => {
            format!("{}…", text.chars().take(LONGEST).collect::<String>().replace('\n', " "))
        }
        Some(text) => text.replace('\n', " "),
    }
}
