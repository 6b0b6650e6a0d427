//! Rejected rows for whoever mends them: as they were, in a file that can be imported, and in another one why, line by line.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::Context;
use crate::bulk::BulkError;
use crate::bulk::inputs::Source;
use crate::bulk::nodes::Summary;
use crate::bulk::registry::stem;
use crate::bulk::tables::copy_lines;
use crate::cli::messages;
use crate::error::{Party, chain};
use crate::store::StoreError;
use crate::store::imports::{FailedRow, failed_rows};
use crate::store::objects::ObjectUrl;

/// Failed rows that are read from the store at once.
const PAGE: u32 = 1000;

/// What the rejects of the files of a run are called: files of one name must not share theirs.
#[derive(Debug, Default)]
pub(super) struct Rejects {
    taken: HashSet<String>,
}

impl Rejects {
    /// Writes the rejected lines of a file; where they are. Lines that were too long to be held stand last: they are read
    /// from their source once more, those of standard input from where they were kept. What cannot be written is said,
    /// and stays in the store.
    pub(super) async fn of_lines(&mut self, context: &Context<'_>, batch: i64, source: &Source) -> Option<PathBuf> {
        let folder = context.args.rejects_folder()?;
        let own = self.own_name(source.name());
        let written = lines(folder, &own, context, batch, source).await.map_err(BulkError::from);
        told(context, written)
    }

    /// The same with rows of nodes, under the file's own columns.
    pub(super) async fn of_rows(
        &mut self,
        context: &Context<'_>,
        (batch, url): (i64, &ObjectUrl),
        summary: &Summary,
    ) -> Option<PathBuf> {
        let folder = context.args.rejects_folder().filter(|_| summary.rows.failed > 0)?;
        let own = self.own_name(url.name());
        let written = rows(folder, &own, context, (batch, url), summary).await.map_err(BulkError::from);
        told(context, written)
    }

    fn own_name(&mut self, name: &str) -> String {
        let stem = if name == "-" { "stdin" } else { stem(name) };
        let mut own = stem.to_owned();
        for number in 2.. {
            if self.taken.insert(own.clone()) {
                break;
            }
            own = format!("{stem}-{number}");
        }
        own
    }
}

/// Says where they are, or what is in the way.
fn told(context: &Context<'_>, written: Result<Paths, BulkError>) -> Option<PathBuf> {
    match written {
        Ok(Paths { rows, reasons }) => {
            messages::say(&format!("rejected rows are in {}, and why in {}", rows.display(), reasons.display()));
            Some(rows)
        }
        Err(error) => {
            let text = format!("rejected rows cannot be written: {}", chain(&error));
            messages::error(
                &context.redactor.redact(&text),
                Some(
                    "they are in the store, too, but for lines above IMPORT_MAX_LINE_MIB; \
                     `--rejects DIR` names another folder, `--no-rejects` none",
                ),
            );
            None
        }
    }
}

async fn lines(
    folder: &Path,
    own: &str,
    context: &Context<'_>,
    batch: i64,
    source: &Source,
) -> Result<Paths, StoreError> {
    let mut files = Files::begin(folder)?;
    let reason = |failure: &FailedRow, kept: bool| {
        json!({ "file": source.name(), "line": failure.line, "byte_offset": failure.offset, "code": failure.code,
            "message": failure.message, "kept": kept })
    };
    let (mut after, mut long) = (0, Vec::new());
    loop {
        let some = context.imports.store().read(move |session| failed_rows(session, batch, after, PAGE)).await?;
        let Some(last) = some.last() else { break };
        after = last.line;
        for failure in some {
            match &failure.original {
                Some(original) => {
                    files.row(original)?;
                    files.row(b"\n")?;
                    files.reason(&reason(&failure, true))?;
                }
                None => long.push(failure),
            }
        }
    }
    let offsets: Vec<u64> = long.iter().map(|failure| failure.offset).collect();
    let from = (source, context.long.as_ref());
    let (copied, end) = copy_lines(context.sources, from, &offsets, |bytes| files.row(bytes)).await;
    if let Err(error) = end {
        let text = format!("lines above IMPORT_MAX_LINE_MIB cannot be kept: {}", chain(&error));
        messages::error(
            &context.redactor.redact(&text),
            Some("what can be read is in; import the file again once that is mended"),
        );
    }
    for (number, failure) in (0..).zip(&long) {
        files.reason(&reason(failure, number < copied))?;
    }
    files.keep(own, "jsonl")
}

async fn rows(
    folder: &Path,
    own: &str,
    context: &Context<'_>,
    (batch, url): (i64, &ObjectUrl),
    summary: &Summary,
) -> Result<Paths, StoreError> {
    let mut files = Files::begin(folder)?;
    if !context.args.refs {
        let header: Vec<_> = summary.columns.iter().map(|name| quoted(name)).collect();
        files.row(header.join(",").as_bytes())?;
        files.row(b"\n")?;
    }
    let mut after = 0;
    loop {
        let some = context.imports.store().read(move |session| failed_rows(session, batch, after, PAGE)).await?;
        let Some(last) = some.last() else { break };
        after = last.line;
        for failure in &some {
            files.row(failure.original.as_deref().unwrap_or_default().trim_ascii_end())?;
            files.row(b"\n")?;
            files.reason(&json!({ "file": url.name(), "line": failure.line, "byte_offset": failure.offset,
                "reference_id": failure.external_id, "code": failure.code, "message": failure.message }))?;
        }
    }
    files.keep(own, "csv")
}

fn quoted(name: &str) -> String {
    if name.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

/// Where rejected rows are, and why they are that.
struct Paths {
    rows: PathBuf,
    reasons: PathBuf,
}

/// Both files in the making. Those of their names stay as they are until these are whole: one of them may be what is being
/// imported.
struct Files {
    folder: PathBuf,
    rows: BufWriter<NamedTempFile>,
    reasons: BufWriter<NamedTempFile>,
}

impl Files {
    fn begin(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| fault(folder, &error))?;
        let open = || begun(folder).map(BufWriter::new).map_err(|error| fault(folder, &error));
        Ok(Self { folder: folder.to_owned(), rows: open()?, reasons: open()? })
    }

    fn row(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.rows.write_all(bytes).map_err(|error| fault(&self.folder, &error))
    }

    fn reason(&mut self, reason: &Value) -> Result<(), StoreError> {
        writeln!(self.reasons, "{reason}").map_err(|error| fault(&self.folder, &error))
    }

    fn keep(self, own: &str, ending: &str) -> Result<Paths, StoreError> {
        let Self { folder, rows, reasons } = self;
        let named = |file: BufWriter<NamedTempFile>, name: String| {
            let path = folder.join(name);
            let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
            let kept = file.and_then(|file| file.persist(&path).map_err(|error| error.error));
            kept.map(|_| path).map_err(|error| fault(&folder, &error))
        };
        // Rows without reasons are of more use than the other way round.
        let rows = named(rows, format!("{own}.{ending}"))?;
        Ok(Paths { rows, reasons: named(reasons, format!("{own}.reasons.jsonl"))? })
    }
}

/// A file that whoever may read the folder may read, as if it had been made under its name.
fn begun(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rejects");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

fn fault(folder: &Path, error: &std::io::Error) -> StoreError {
    StoreError::from_io(folder, Party::Backend, error)
}
