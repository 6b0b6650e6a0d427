//! The report of a run as JSON. Titles are streamed to the file while the run goes on, so a report of 100,000 titles
//! costs no memory; it appears under its name only when it is complete.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::model::{Failure, Outcome, SeriesId};

use super::Summary;

/// A report in the making.
#[derive(Debug)]
pub struct ReportWriter {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    titles: u64,
}

/// One title in the report.
#[derive(Debug, Serialize)]
pub struct TitleLine<'a> {
    /// Shikimori id.
    pub series: SeriesId,
    /// Display title, when it was known.
    pub title: Option<&'a str>,
    /// `created`, `updated`, `unchanged`, `failed`, `skipped`.
    pub outcome: &'static str,
    /// Why it was skipped, or what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The refused parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<&'a Failure>,
    /// Requests made for this title alone, retries included.
    pub attempts: u32,
    /// Wall time, waiting included.
    pub seconds: f64,
}

/// The outcome's word in reports, logs and metrics.
pub(super) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Loaded { change: crate::model::Change::Created, .. } => "created",
        Outcome::Loaded { change: crate::model::Change::Updated, .. } => "updated",
        Outcome::Unchanged => "unchanged",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped(_) => "skipped",
    }
}

impl ReportWriter {
    /// Starts a report that will appear at `path`.
    ///
    /// # Errors
    /// The folder is missing or not writable.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file =
            BufWriter::new(tempfile::Builder::new().prefix(".parser-report.").suffix(".part").tempfile_in(folder)?);
        file.write_all(b"{\"titles\":[")?;
        Ok(Self { path: path.to_owned(), file, titles: 0 })
    }

    /// Where it will appear.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a title.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn title(&mut self, line: &TitleLine<'_>) -> std::io::Result<()> {
        self.file.write_all(if self.titles == 0 { b"\n" } else { b",\n" })?;
        self.titles += 1;
        serde_json::to_writer(&mut self.file, line).map_err(std::io::Error::from)
    }

    /// Completes the report with the summary and puts it in its place.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn finish(mut self, summary: &Summary) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        self.file.write_all(b"\n],\"summary\":")?;
        serde_json::to_writer_pretty(&mut self.file, summary)?;
        self.file.write_all(b"}\n")?;
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
