//! What became of each file: a table for people, JSON for programs.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::table;
use crate::model::{ImportStatus, RowCounts};

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) file: String,
    pub(super) kind: &'static str,
    pub(super) table: Option<String>,
    pub(super) import: Option<String>,
    /// Where its rejected rows are.
    pub(super) rejects: Option<PathBuf>,
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
        if let Some(rejects) = &self.rejects {
            value["rejects"] = rejects.display().to_string().into();
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
