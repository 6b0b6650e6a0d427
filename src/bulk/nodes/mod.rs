//! CSV → nodes: read → unpack → rows → batches → a few of them at a time into the store.
//!
//! A batch is one transaction that also marks it as a piece of its import that is in. A run that goes on reads the file
//! again and leaves out the pieces that are in, in whatever order they came in; a file that has changed since is
//! refused.

mod gather;
mod header;
mod read;
mod row;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BulkError;
use crate::backend::imports::{BulkFile, FileEnd, Imports};
use crate::backend::tasks;
use crate::error::{Fault as _, Severity};
use crate::model::{ImportStatus, NodesOptions, RowCounts};
use crate::observe::events;
use crate::store::StoreError;
use crate::store::imports::Turn;
use crate::store::nodes::Batch;
use crate::store::objects::{ObjectUrl, Sources};
use read::{Input, Read};
use write::Written;

pub use header::{Header, KINDS, kind_of};

/// Batches that are read but not yet on their way.
const QUEUE: usize = 2;

/// How often it is told how far an import is.
const TELL: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a file that had too many failed rows is no better.
const TOO_MANY: &str = "more rows failed than are put up with";

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the rows are; none = they came with a request.
    pub url: Option<ObjectUrl>,
    /// Whose nodes, and what the file is.
    pub nodes: NodesOptions,
    /// Batches on their way at once.
    pub in_flight: usize,
    /// More failed rows than this stop the import.
    pub max_errors: Option<u64>,
    /// Longest row.
    pub max_row: usize,
    /// Rows of a batch where no import says so.
    pub batch: u64,
}

/// How an import of a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How it ended; started = it was stopped and can be gone on with.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What its pieces add up to.
    pub rows: RowCounts,
    /// The names of the columns.
    pub columns: Vec<String>,
}

/// Hears how far it is.
pub trait Progress: Sync {
    /// Sums of this run, bytes read of the file, and its length if that is known.
    fn at(&self, rows: &RowCounts, read: u64, length: Option<u64>);
}

/// Imports one file of an import. `stop`: when it becomes true, what is on its way is finished and nothing more is begun.
/// An error that may pass leaves the file as it stands, to be gone on with; any other ends it.
pub async fn import(
    imports: &Imports,
    sources: &Sources,
    file: &BulkFile,
    options: &Options,
    progress: &dyn Progress,
    stop: watch::Receiver<bool>,
) -> Result<Summary, BulkError> {
    if file.status.is_final() {
        let end = imports.file_end(file).await?;
        return Ok(Summary { status: end.status, reason: end.reason, rows: end.rows, columns: Vec::new() });
    }
    let ended = match open(imports, sources, file, options).await {
        Ok(input) => {
            let begun = imports.begin_file(file, input.tag(), input.length()).await?;
            if begun { run(imports, input, Some(file), options, progress, stop).await } else { Ok(Done::lost()) }
        }
        Err(error) => Err(error),
    };
    close(imports, file, ended).await
}

/// Reads and checks a file as an import would, without a store.
pub async fn check(
    imports: &Imports,
    sources: &Sources,
    options: &Options,
    progress: &dyn Progress,
    stop: watch::Receiver<bool>,
) -> Result<Summary, BulkError> {
    let input = match &options.url {
        Some(url) => Input::open(sources, url, None).await?,
        None => Input::ids(b"[]")?,
    };
    let Done { rows, columns, ended } = run(imports, input, None, options, progress, stop).await?;
    let status = match (&ended, rows.processed(), rows.failed) {
        (Ended::Stopped, ..) => ImportStatus::Started,
        (_, 0, _) => ImportStatus::Failed,
        (Ended::All, _, 0) => ImportStatus::Completed,
        _ => ImportStatus::PartiallyFailed,
    };
    Ok(Summary { status, reason: None, rows, columns })
}

async fn open(imports: &Imports, sources: &Sources, file: &BulkFile, options: &Options) -> Result<Input, BulkError> {
    match &options.url {
        Some(url) => Input::open(sources, url, file.tag.as_deref()).await,
        None => Input::ids(&imports.bulk_input(file).await?.unwrap_or_default()),
    }
}

/// Writes how it ended.
async fn close(imports: &Imports, file: &BulkFile, ended: Result<Done, BulkError>) -> Result<Summary, BulkError> {
    let (end, columns) = match ended {
        Ok(Done { ended: Ended::All, columns, .. }) => (imports.end_file(file, None).await?, columns),
        Ok(Done { ended: Ended::TooManyErrors, columns, .. }) => {
            (imports.end_file(file, Some(TOO_MANY.to_owned())).await?, columns)
        }
        Ok(Done { ended: Ended::Stopped | Ended::Lost, columns, .. }) => (imports.file_end(file).await?, columns),
        // What is in stays in. If the file may be whole another time, it can be gone on with.
        Err(error) => {
            if error.severity() == Severity::Permanent {
                let end = imports.end_file(file, Some(error.to_string())).await?;
                finished(&end);
            }
            return Err(error);
        }
    };
    if end.status.is_final() {
        finished(&end);
    }
    Ok(Summary { status: end.status, reason: end.reason, rows: end.rows, columns })
}

fn finished(end: &FileEnd) {
    events::node_job_finished(end.status.as_str(), end.rows.total(), end.rows.failed);
}

async fn run(
    imports: &Imports,
    input: Input,
    file: Option<&BulkFile>,
    options: &Options,
    progress: &dyn Progress,
    stop: watch::Receiver<bool>,
) -> Result<Done, BulkError> {
    let done = match file {
        Some(file) => imports.pieces(file).await?.into_iter().collect(),
        None => HashSet::new(),
    };
    let (send, batches) = mpsc::channel(QUEUE);
    let piece = file.map_or(options.batch, |file| file.piece_rows);
    let reading = tokio::spawn(read::read(input, options.clone(), piece, send));
    let columns = Vec::new();
    let tells = file.map_or(0, |file| usize::try_from(file.tells).unwrap_or(usize::MAX));
    let (rows, told) = (RowCounts::default(), Instant::now());
    let mut run = Run { imports, file, options, progress, done, columns, rows, read: (0, None), told, tells };
    let ended = run.write_all(batches, stop).await;
    if !matches!(ended, Ok(Ended::All)) {
        // It may be waiting for a source that is silent.
        reading.abort();
    }
    let read = reading.await.unwrap_or(Ok(()));
    let ended = ended?;
    if matches!(ended, Ended::All) {
        read?;
    }
    Ok(Done { ended, rows: run.rows, columns: run.columns })
}

/// How the writing side ended.
#[derive(Debug)]
enum Ended {
    /// All that was read is in.
    All,
    Stopped,
    TooManyErrors,
    /// It was cancelled, or somebody else has it.
    Lost,
}

#[derive(Debug)]
struct Done {
    ended: Ended,
    rows: RowCounts,
    columns: Vec<String>,
}

impl Done {
    fn lost() -> Self {
        Self { ended: Ended::Lost, rows: RowCounts::default(), columns: Vec::new() }
    }
}

struct Run<'a> {
    imports: &'a Imports,
    /// None = nothing is written.
    file: Option<&'a BulkFile>,
    options: &'a Options,
    progress: &'a dyn Progress,
    done: HashSet<u64>,
    columns: Vec<String>,
    rows: RowCounts,
    /// Bytes read of the file, and its length if that is known.
    read: (u64, Option<u64>),
    told: Instant,
    /// Ids of rows that are still to be kept.
    tells: usize,
}

impl Run<'_> {
    async fn write_all(
        &mut self,
        mut batches: mpsc::Receiver<Read>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Ended, BulkError> {
        let mut writing: JoinSet<(u64, Result<Written, StoreError>)> = JoinSet::new();
        let mut flying: HashMap<u64, HashSet<u64>> = HashMap::new();
        let nodes = Arc::new(self.options.nodes.clone());
        let mut ended = None;
        loop {
            if ended.is_none() && *stop.borrow() {
                ended = Some(Ended::Stopped);
            }
            let full = writing.len() >= self.options.in_flight.max(1);
            tokio::select! {
                biased;
                Some(done) = writing.join_next() => {
                    let Some((number, written)) = tasks::outcome(done) else { continue };
                    flying.remove(&number);
                    self.add(written?, &mut ended).await?;
                }
                Ok(()) = stop.changed(), if ended.is_none() => {}
                next = batches.recv(), if ended.is_none() && !full => match next {
                    None => ended = Some(Ended::All),
                    Some(Read::Header(columns)) => self.columns = columns,
                    Some(Read::Batch { mut batch, read, length }) => {
                        self.read = (read, length);
                        // Of pieces that are in, too: so the same ones are kept, however often it is begun.
                        batch.told = first_ids(&batch, self.tells);
                        self.tells -= batch.told.len();
                        self.progress.at(&self.rows, read, length);
                        let Some(file) = self.file else {
                            self.count_dry(&batch, &mut ended);
                            continue;
                        };
                        if self.done.contains(&batch.number) {
                            continue;
                        }
                        let (number, keys) = (batch.number, keys(&batch));
                        // Of equal keys in different batches the later one wins, too.
                        while flying.values().any(|other| !other.is_disjoint(&keys)) {
                            let Some(done) = writing.join_next().await else { break };
                            let Some((number, written)) = tasks::outcome(done) else { continue };
                            flying.remove(&number);
                            self.add(written?, &mut ended).await?;
                        }
                        flying.insert(number, keys);
                        let (imports, file, nodes) = (self.imports.clone(), file.clone(), Arc::clone(&nodes));
                        writing.spawn(async move { (number, write::write(&imports, &file, &nodes, batch).await) });
                    }
                },
                else => return Ok(ended.unwrap_or(Ended::All)),
            }
            if ended.is_some() && writing.is_empty() {
                return Ok(ended.unwrap_or(Ended::All));
            }
        }
    }

    /// Counts a batch that has come back.
    async fn add(&mut self, (turn, rows): Written, ended: &mut Option<Ended>) -> Result<(), BulkError> {
        if turn == Turn::Lost {
            *ended = Some(Ended::Lost);
            return Ok(());
        }
        self.rows.add(&rows);
        self.progress.at(&self.rows, self.read.0, self.read.1);
        events::nodes_imported(&rows);
        self.watch_errors(ended);
        if let Some(file) = self.file
            && self.told.elapsed() >= TELL
        {
            self.told = Instant::now();
            // Nobody has to hear it: a store that is away for a moment costs no import.
            if let Err(error) = self.imports.tell_bulk_progress(file.import).await {
                events::import_work_failed(&error.to_string());
            }
        }
        Ok(())
    }

    fn watch_errors(&self, ended: &mut Option<Ended>) {
        if self.options.max_errors.is_some_and(|most| self.rows.failed > most) {
            ended.get_or_insert(Ended::TooManyErrors);
        }
    }

    /// The store is not asked: whatever would go in counts as new.
    fn count_dry(&mut self, batch: &Batch, ended: &mut Option<Ended>) {
        self.rows.inserted += batch.rows.len() as u64;
        self.rows.duplicates += batch.duplicates;
        self.rows.failed += batch.failures.len() as u64;
        self.watch_errors(ended);
    }
}

/// Ids of a batch's first rows, in the order of the file.
fn first_ids(batch: &Batch, most: usize) -> Vec<String> {
    if most == 0 {
        return Vec::new();
    }
    let mut rows: Vec<_> = batch.rows.iter().map(|row| (row.line, &row.reference)).collect();
    rows.sort_unstable();
    rows.into_iter().take(most).map(|(_, id)| id.clone()).collect()
}

/// What tells whether two batches touch the same node; two nodes may look alike, which costs a little waiting.
fn keys(batch: &Batch) -> HashSet<u64> {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    batch.rows.iter().map(|row| hasher.hash_one((&row.group, &row.reference))).collect()
}
