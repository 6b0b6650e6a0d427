//! JSONL → tables, in two phases: read → unpack → chunks → parsed side by side → in order into the store, by one writer.
//!
//! ```text
//! reader (one a file) ─▶ chunks ─▶ parsed on any thread ─▶ queue, in the order of the file ─▶ one transaction
//! ```
//!
//! A transaction holds a whole file, or with `batch` at least so many rows of it; in it go the rows, the lines that are no
//! rows, the counts and the position behind them. So whoever goes on after a crash begins where the last one ended.

mod chunks;
mod input;
mod parse;
mod read;
mod scan;
mod unit;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::BulkError;
use super::inputs::Source;
use super::long_lines::LongLines;
use crate::backend::imports::{BulkFile, Imports};
use crate::error::{Fault as _, Severity};
use crate::model::{ImportStatus, RowCounts};
use crate::observe::events;
use crate::store::StoreErrorKind;
use crate::store::imported::{self, Definition};
use crate::store::objects::{ObjectError, Position, Sources};
use input::Input;

pub use input::copy_lines;

pub(in crate::bulk) use input::stdin;
use parse::Rules;
use read::{Budget, Item};
use unit::{Ended, Unit};

/// How often a store that is busy or away is asked again, and the first wait; it doubles up to the longest.
const TRIES: u32 = 8;
const BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// For how long another process may write into the same SQLite file.
const LOCKED: Duration = Duration::from_secs(600);

/// Why a file that had too many rejected lines is no better.
const TOO_MANY: &str = "more rows failed than are put up with";

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the lines are.
    pub source: Source,
    /// The table.
    pub table: String,
    /// The field that tells rows apart; none = `_key`, `id`, or the whole line.
    pub key: Option<String>,
    /// The table must be there and stays as it is.
    pub frozen: bool,
    /// Rows of a transaction; none = the whole file is one.
    pub batch: Option<u64>,
    /// More rejected lines than this stop the import.
    pub max_errors: Option<u64>,
    /// Longest line.
    pub max_line: usize,
    /// Read all of it before the transaction begins: others wait for the writer, and not for a network as well.
    pub spool: bool,
    /// Where the lines of standard input that are too long are kept; none = nowhere.
    pub long: Option<LongLines>,
}

/// Threads that parse, and how much may be on its way.
#[derive(Debug, Clone)]
pub struct Parsers {
    threads: Arc<tokio::sync::Semaphore>,
    files: usize,
}

impl Parsers {
    /// For so many files at once.
    pub fn new(threads: usize, files: usize) -> Self {
        Self { threads: Arc::new(tokio::sync::Semaphore::new(threads.max(1))), files: files.max(1) }
    }
}

/// How far a file is, for whoever watches.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes read, as they are kept.
    pub read: AtomicU64,
    /// Bytes of the file; 0 = not known.
    pub length: AtomicU64,
    /// Rows that are in the store, or will be when the transaction ends.
    pub rows: AtomicU64,
    /// Lines that are not.
    pub failed: AtomicU64,
    /// Rows that gave way to a later one, in a dry run.
    pub duplicates: AtomicU64,
}

impl Meter {
    fn reset(&self) {
        for number in [&self.read, &self.rows, &self.failed, &self.duplicates] {
            number.store(0, Ordering::Relaxed);
        }
    }
}

/// How an import of a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How it ended; started = it was stopped and can be gone on with.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What its transactions add up to.
    pub rows: RowCounts,
}

/// Imports one file of an import. `stop`: when it becomes true, the transaction at hand is undone, unless it is just
/// being committed. An error that may pass leaves the file as it stands, to be gone on with; any other ends it.
pub async fn import(
    imports: &Imports,
    sources: &Sources,
    file: &BulkFile,
    options: &Options,
    parsers: &Parsers,
    meter: &Arc<Meter>,
    mut stop: watch::Receiver<bool>,
) -> Result<Summary, BulkError> {
    if file.status.is_final() {
        return ended(imports, file).await;
    }
    let tag = Mutex::new(file.tag.clone());
    let run = Run {
        imports,
        sources,
        file: Some(file),
        options,
        parsers,
        meter,
        tag,
        known: None,
        last_straw: Arc::default(),
    };
    let (mut tries, mut wait, begun) = (1, BACKOFF, tokio::time::Instant::now());
    let outcome = loop {
        let outcome = run.whole(&stop).await;
        let Err(BulkError::Store(error)) = &outcome else { break outcome };
        let patient = match error.kind {
            StoreErrorKind::Locked => begun.elapsed() < LOCKED,
            _ => tries < TRIES,
        };
        // What came by a pipe comes once.
        if !error.is_transient() || !patient || options.source == Source::Stdin || *stop.borrow() {
            break outcome;
        }
        events::store_locked(&error.to_string(), wait);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // Whoever gave the signal waits for this.
            _ = stop.changed() => {}
        }
        wait = LONGEST_BACKOFF.min(wait * 2);
        tries += 1;
        meter.reset();
    };
    match outcome {
        Ok(Ended::All) => end(imports, file, None).await,
        Ok(Ended::TooMany) => end(imports, file, Some(run.too_many())).await,
        Ok(Ended::Stopped | Ended::Lost | Ended::Broken) => ended(imports, file).await,
        Err(error) => {
            // What is in stays in. If the file may be whole another time, it can be gone on with.
            if error.severity() == Severity::Permanent {
                end(imports, file, Some(error.to_string())).await?;
            }
            Err(error)
        }
    }
}

/// Reads and checks a file as an import would, and writes nothing: whatever would go in counts as new. `known`: the table,
/// if there is one.
pub async fn check(
    imports: &Imports,
    known: Option<Definition>,
    sources: &Sources,
    options: &Options,
    parsers: &Parsers,
    meter: &Arc<Meter>,
    stop: watch::Receiver<bool>,
) -> Result<Summary, BulkError> {
    let run = Run {
        imports,
        sources,
        file: None,
        options,
        parsers,
        meter,
        tag: Mutex::default(),
        known,
        last_straw: Arc::default(),
    };
    let ended = run.whole(&stop).await?;
    let at = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (duplicates, failed) = (at(&meter.duplicates), at(&meter.failed));
    let inserted = at(&meter.rows) - duplicates;
    let (status, reason) = match (ended, inserted, failed) {
        (Ended::Stopped | Ended::Lost | Ended::Broken, ..) => (ImportStatus::Started, None),
        (Ended::TooMany, ..) => (ImportStatus::Failed, Some(run.too_many())),
        (Ended::All, _, 0) => (ImportStatus::Completed, None),
        (Ended::All, 0, _) => (ImportStatus::Failed, None),
        (Ended::All, ..) => (ImportStatus::PartiallyFailed, None),
    };
    Ok(Summary { status, reason, rows: RowCounts { inserted, duplicates, failed, ..RowCounts::default() } })
}

async fn ended(imports: &Imports, file: &BulkFile) -> Result<Summary, BulkError> {
    let end = imports.file_end(file).await?;
    Ok(Summary { status: end.status, reason: end.reason, rows: end.rows })
}

async fn end(imports: &Imports, file: &BulkFile, trouble: Option<String>) -> Result<Summary, BulkError> {
    let end = imports.end_file(file, trouble).await?;
    events::table_file_finished(end.status.as_str(), &end.rows);
    Ok(Summary { status: end.status, reason: end.reason, rows: end.rows })
}

struct Run<'a> {
    imports: &'a Imports,
    sources: &'a Sources,
    /// None = nothing is written.
    file: Option<&'a BulkFile>,
    options: &'a Options,
    parsers: &'a Parsers,
    meter: &'a Arc<Meter>,
    /// The version of the object that its transactions are of.
    tag: Mutex<Option<String>>,
    /// The table, in a dry run.
    known: Option<Definition>,
    /// The line that was one too many, for people.
    last_straw: Arc<Mutex<Option<String>>>,
}

impl Run<'_> {
    /// Reads a file from where it stands to its end.
    async fn whole(&self, stop: &watch::Receiver<bool>) -> Result<Ended, BulkError> {
        let known = self.known().await?;
        let (mut pieces, position) = match self.file {
            Some(file) => unit::standing(self.imports.store(), file.batch).await?,
            None => (0, Position::START),
        };
        // Of which nothing is in, any version will do.
        let tag = self.tag.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| pieces > 0);
        let mut input =
            Input::open(self.sources, &self.options.source, position, tag.as_deref(), self.options.long.as_ref())
                .await?;
        if let Some(file) = self.file
            && !self.imports.begin_file(file, input.tag.clone(), input.length).await?
        {
            return Ok(Ended::Lost);
        }
        self.tag.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input.tag);
        if self.options.spool {
            let mut stop = stop.clone();
            input.kept = tokio::select! {
                kept = input::spooled(input.kept) => kept?,
                Ok(_) = stop.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
            };
        }
        self.meter.length.store(input.length.unwrap_or(0), Ordering::Relaxed);
        let rules = Arc::new(OnceLock::new());
        let frozen = self.options.frozen;
        let key = known
            .as_ref()
            .map(|known| known.key.clone())
            .or_else(|| self.options.key.clone().map(imported::Key::Field));
        if let Some(key) = key {
            // Nobody else has set them.
            let _ = rules.set(Arc::new(Rules::new(key, known.as_ref(), frozen)));
        }
        let (send, mut items) = mpsc::channel(read::QUEUE);
        let reader = read::Reader {
            rules: Arc::clone(&rules),
            threads: Arc::clone(&self.parsers.threads),
            budget: Budget::new(self.parsers.files),
            unit_rows: self.options.batch,
            max_line: self.options.max_line,
            meter: Arc::clone(self.meter),
        };
        let reading = tokio::spawn(reader.run(input, position, send, stop.clone()));
        let ended = loop {
            let Some(file) = self.file else { break self.count_dry(items).await };
            let unit = Unit {
                batch: file.batch,
                owner: file.owner.clone(),
                number: pieces,
                table: self.options.table.clone(),
                frozen,
                rules: Arc::clone(&rules),
                max_errors: self.options.max_errors,
                last_straw: Arc::clone(&self.last_straw),
                meter: Arc::clone(self.meter),
            };
            match unit.write(self.imports.store(), items).await {
                Ok(unit::Done { items: rest, more: true }) => items = rest,
                Ok(unit::Done { more: false, .. }) => break Ok(Ended::All),
                Err(failed) => break failed,
            }
            pieces += 1;
            if *stop.borrow() {
                break Ok(Ended::Stopped);
            }
        };
        // It may be waiting for a source that is silent, unless it is what has failed.
        let broken = matches!(ended, Ok(Ended::Broken));
        if !broken {
            reading.abort();
        }
        match (ended, reading.await) {
            (Ok(Ended::Broken), Ok(Err(error))) => Err(error),
            (Ok(Ended::Broken), _) if *stop.borrow() => Ok(Ended::Stopped),
            // Whoever parses has panicked.
            (Ok(Ended::Broken), _) => {
                let (address, reason) = (self.options.source.to_string(), "its lines could not be parsed".to_owned());
                Err(ObjectError::Damaged { address, reason }.into())
            }
            (ended, _) => ended,
        }
    }

    /// Why too many lines were rejected, with the last of them.
    fn too_many(&self) -> String {
        match &*self.last_straw.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(last) => format!("{TOO_MANY}; {last}"),
            None => TOO_MANY.to_owned(),
        }
    }

    /// What is known of the table; it must fit what was asked for.
    async fn known(&self) -> Result<Option<Definition>, BulkError> {
        let name = self.options.table.clone();
        let known = match self.file {
            Some(_) => self.imports.store().read(move |session| imported::find(session, &name)).await?,
            None => self.known.clone(),
        };
        let table = || self.options.table.clone();
        let asked = self.options.key.clone().map(imported::Key::Field);
        match &known {
            Some(known) if asked.as_ref().is_some_and(|asked| *asked != known.key) => Err(BulkError::Table {
                table: table(),
                reason: format!("its rows are told apart by {}", known.key),
                hint: "leave out `--key`, or import into another table with `--table NAME`",
            }),
            None if self.options.frozen => Err(BulkError::Table {
                table: table(),
                reason: "there is no such table yet".to_owned(),
                hint: "the first import makes it: leave out `--schema freeze`",
            }),
            _ => Ok(known),
        }
    }

    async fn count_dry(&self, mut items: mpsc::Receiver<Item>) -> Result<Ended, BulkError> {
        let mut failed = 0;
        while let Some(item) = items.recv().await {
            match item {
                Item::Chunk { rows, .. } => {
                    let Ok(rows) = rows.await else { return Ok(Ended::Broken) };
                    failed += rows.rejects.len() as u64;
                    self.meter.rows.fetch_add(rows.rows.len() as u64 + rows.duplicates, Ordering::Relaxed);
                    self.meter.duplicates.fetch_add(rows.duplicates, Ordering::Relaxed);
                    self.meter.failed.store(failed, Ordering::Relaxed);
                    if self.options.max_errors.is_some_and(|most| failed > most) {
                        let last = unit::last_straw(&rows.rejects);
                        *self.last_straw.lock().unwrap_or_else(PoisonError::into_inner) = last;
                        return Ok(Ended::TooMany);
                    }
                }
                Item::Cut => {}
                Item::End => return Ok(Ended::All),
            }
        }
        Ok(Ended::Broken)
    }
}
