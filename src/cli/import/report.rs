//! What became of each file: a table for people, JSON for programs, and the rejected rows for whoever mends them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::Context;
use crate::bulk::inputs::Source;
use crate::bulk::registry::stem;
use crate::bulk::tables::copy_lines;
use crate::cli::{messages, table};
use crate::error::{Fault as _, chain};
use crate::model::{ImportStatus, RowCounts};
use crate::store::StoreError;
use crate::store::imports::{FailedRow, failed_rows};

/// Failed rows that are read from the store at once.
const PAGE: u32 = 1000;

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) file: String,
    pub(super) kind: &'static str,
    pub(super) table: Option<String>,
    pub(super) import: Option<String>,
    /// How it ended and why no better; or the error that ended it.
    pub(super) end: Result<(ImportStatus, Option<String>, RowCounts), String>,
}

impl Line {
    fn json(&self) -> Value {
        let mut value = match &self.end {
            Ok((status, reason, rows)) => json!({
                "file": self.file, "status": capitals(*status), "reason": reason, "total": rows.total(),
                "processed": rows.processed(), "inserted": rows.inserted, "updated": rows.updated,
                "unchanged": rows.unchanged, "duplicates": rows.duplicates, "failed": rows.failed,
            }),
            Err(error) => json!({ "file": self.file, "status": "ERROR", "reason": error }),
        };
        value["kind"] = self.kind.into();
        value["import"] = self.import.clone().into();
        if let Some(table) = &self.table {
            value["table"] = table.as_str().into();
        }
        value
    }
}

/// For programs.
pub(super) fn as_json(lines: &[Line]) -> String {
    let import = lines.iter().find_map(|line| line.import.clone());
    format!("{}\n", json!({ "import": import, "files": lines.iter().map(Line::json).collect::<Vec<_>>() }))
}

/// For people.
pub(super) fn as_table(lines: &[Line]) -> String {
    let mut shown =
        table::plain(&["file", "into", "status", "rows", "inserted", "updated", "unchanged", "duplicates", "failed"]);
    let mut all = RowCounts::default();
    for line in lines {
        let into = line.table.as_deref().unwrap_or(line.kind);
        match &line.end {
            Ok((status, reason, rows)) => {
                all.add(rows);
                let status =
                    reason.as_ref().map_or_else(|| capitals(*status), |why| format!("{}: {why}", capitals(*status)));
                shown.add_row([line.file.clone(), into.to_owned(), status].into_iter().chain(numbers(rows)));
            }
            Err(_) => {
                shown.add_row([line.file.as_str(), into, "ERROR"]);
            }
        }
    }
    if lines.len() > 1 {
        let head = [format!("{} files", lines.len()), String::new(), String::new()];
        shown.add_row(head.into_iter().chain(numbers(&all)));
    }
    crate::cli::harmless(&format!("{shown}\n")).into_owned()
}

fn numbers(rows: &RowCounts) -> impl Iterator<Item = String> {
    [rows.total(), rows.inserted, rows.updated, rows.unchanged, rows.duplicates, rows.failed]
        .map(table::grouped)
        .into_iter()
}

/// A status in the capitals of reports.
fn capitals(status: ImportStatus) -> String {
    status.as_str().to_uppercase()
}

/// What the rejects of a file are called, whose name others may have, too.
pub(super) fn own_name(name: &str, taken: &mut HashSet<String>) -> String {
    let stem = if name == "-" { "stdin" } else { stem(name) };
    let mut own = stem.to_owned();
    for number in 2.. {
        if taken.insert(own.clone()) {
            break;
        }
        own = format!("{stem}-{number}");
    }
    own
}

/// Rejected lines of one file as they were, in a file of the same name that can be mended and imported, and in another
/// one why, line by line. Lines that were too long to be held stand last: they are read from their source once more, those of
/// standard input from where they were kept. `taken`: names that other files of this run have.
pub(super) async fn write_lines(
    folder: &Path,
    context: &Context<'_>,
    batch: i64,
    source: &Source,
    taken: &mut HashSet<String>,
) -> Result<(), StoreError> {
    let (name, store) = (source.name(), context.imports.store());
    let own = own_name(name, taken);
    let fault = |error: std::io::Error| StoreError::from_io(folder, crate::error::Party::Backend, &error);
    std::fs::create_dir_all(folder).map_err(fault)?;
    let open = |name: String| File::create(folder.join(name)).map(BufWriter::new).map_err(fault);
    let (mut lines, mut reasons) = (open(format!("{own}.jsonl"))?, open(format!("{own}.reasons.jsonl"))?);
    let mut reason = |failure: &FailedRow, kept: bool| {
        let reason = json!({ "file": name, "line": failure.line, "byte_offset": failure.offset, "code": failure.code,
            "message": failure.message, "kept": kept });
        writeln!(reasons, "{reason}").map_err(fault)
    };
    let (mut after, mut long) = (0, Vec::new());
    loop {
        let some = store.read(move |session| failed_rows(session, batch, after, PAGE)).await?;
        let Some(last) = some.last() else { break };
        after = last.line;
        for failure in some {
            match &failure.original {
                Some(original) => {
                    lines.write_all(original).and_then(|()| lines.write_all(b"\n")).map_err(fault)?;
                    reason(&failure, true)?;
                }
                None => long.push(failure),
            }
        }
    }
    let offsets: Vec<u64> = long.iter().map(|failure| failure.offset).collect();
    let from = (source, context.long.as_ref());
    let (copied, end) =
        copy_lines(context.sources, from, &offsets, |bytes| lines.write_all(bytes).map_err(fault)).await;
    if let Err(error) = end {
        messages::error(&context.redactor.redact(&chain(&error)), error.hint().as_deref());
    }
    for (number, failure) in (0..).zip(&long) {
        reason(failure, number < copied)?;
    }
    lines.flush().and_then(|()| reasons.flush()).map_err(fault)
}
