//! CSV → nodes: read → unpack → rows → batches → a few of them at a time into the store.
//!
//! A batch is one transaction that also marks it as in. A run that is resumed reads the file again and leaves out the
//! batches that are in, in whatever order they came in; a file that has changed since is refused.

mod gather;
mod header;
mod row;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::{BulkError, Row, Rows};
use crate::error::{Fault as _, Severity};
use crate::observe::events;
use crate::store::nodes::{self, Batch, Job, JobStatus, Sums};
use crate::store::objects::{Object, ObjectError, ObjectUrl, Sources, unpacked};
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};
use gather::Gather;

pub use header::{DEFAULT_KIND, Header, KINDS, kind_of};

const BEGIN: CrashPoints = CrashPoints { before: "nodes.begin.before_commit", after: "nodes.begin.after_commit" };
const FINISH: CrashPoints = CrashPoints { before: "nodes.finish.before_commit", after: "nodes.finish.after_commit" };

/// Batches that are read but not yet on their way.
const QUEUE: usize = 2;

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file.
    pub url: ObjectUrl,
    /// It is a list of ids without a header.
    pub ids: bool,
    /// Whose nodes.
    pub domain: String,
    /// The group of all rows; none = each row names its own.
    pub group: Option<String>,
    /// Rows of a batch.
    pub batch: u64,
    /// Batches on their way at once.
    pub in_flight: usize,
    /// Go on with the unfinished job of this file, if there is one.
    pub resume: bool,
    /// Read and check everything, write nothing.
    pub dry_run: bool,
    /// More failed rows than this stop the import.
    pub max_errors: Option<u64>,
    /// Longest row.
    pub max_row: usize,
}

/// How an import ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The job; none in a dry run.
    pub job: Option<String>,
    /// How it ended; processing = it was stopped and can be resumed.
    pub status: JobStatus,
    /// Why it failed.
    pub reason: Option<String>,
    /// What its batches add up to.
    pub sums: Sums,
    /// The names of the columns.
    pub columns: Vec<String>,
}

/// Hears how far it is.
pub trait Progress: Sync {
    /// Sums of this run, bytes read of the file, and its length if that is known.
    fn at(&self, sums: &Sums, read: u64, length: Option<u64>);
}

/// What the reading side gives.
enum Read {
    Header(Vec<String>),
    Batch { batch: Batch, read: u64, length: Option<u64> },
}

/// Imports one file. `stop`: when it becomes true, what is on its way is finished and nothing more is begun.
pub async fn import(
    store: &Store,
    sources: &Sources,
    options: &Options,
    progress: &dyn Progress,
    stop: watch::Receiver<bool>,
) -> Result<Summary, BulkError> {
    let source = options.url.whole();
    let known = if options.resume && !options.dry_run { unfinished(store, options, &source).await? } else { None };
    let (known, done) = known.unzip();
    let begun = known.is_some();
    let tag = known.as_ref().and_then(|job: &Job| job.tag.clone());
    let object = match sources.open(&options.url, 0, tag.as_deref()).await {
        Ok(object) => object,
        Err(error) => {
            if let (Some(job), ObjectError::Changed { .. }) = (known, &error) {
                // Nothing can go on with it: the next run begins anew.
                fail(store, job.id, error.to_string()).await?;
            }
            return Err(error.into());
        }
    };
    let job = known.unwrap_or_else(|| Job {
        id: Uuid::now_v7().to_string(),
        source,
        tag: object.tag().map(str::to_owned),
        domain: options.domain.clone(),
        group: options.group.clone(),
        batch: options.batch,
    });
    let (job, done) = (Arc::new(job), done.unwrap_or_default().into_iter().collect::<HashSet<u64>>());
    let (send, batches) = mpsc::channel(QUEUE);
    let reading = tokio::spawn(read(object, options.clone(), job.batch, send));
    let mut run = Run { store, options, progress, job, done, columns: Vec::new(), begun, sums: Sums::default() };
    let ended = run.write_all(batches, stop).await;
    if !matches!(ended, Ok(Ended::All)) {
        // It may be waiting for a source that is silent.
        reading.abort();
    }
    let read = reading.await.unwrap_or(Ok(()));
    run.close(ended?, read).await
}

async fn unfinished(store: &Store, options: &Options, source: &str) -> Result<Option<(Job, Vec<u64>)>, StoreError> {
    let (source, domain, group) = (source.to_owned(), options.domain.clone(), options.group.clone());
    store.read(move |session| nodes::unfinished(session, &source, &domain, group.as_deref())).await
}

/// Ends a job that cannot be gone on with.
async fn fail(store: &Store, job: String, reason: String) -> Result<(), StoreError> {
    let status = JobStatus::Failed;
    store.write(FINISH, move |session| nodes::finish(session, &job, status, Some(&reason), now())).await
}

/// Reads the file to its end and sends its batches.
async fn read(object: Object, options: Options, batch: u64, send: mpsc::Sender<Read>) -> Result<(), BulkError> {
    let length = object.length();
    let counted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&counted);
    let packed = object.into_stream().inspect(move |piece| {
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        count.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    });
    let mut bytes = unpacked(options.url.clone(), packed.boxed());
    let (mut rows, mut gather) = (Rows::new(options.max_row), Gather::new(batch));
    let mut header = options.ids.then(Header::of_ids);
    let mut ended = false;
    while !ended {
        if let Some(piece) = bytes.next().await {
            rows.push(&piece?);
        } else {
            rows.end();
            ended = true;
        }
        while let Some(row) = rows.take() {
            let Some(columns) = &header else {
                let found = columns_of(row, &options)?;
                if send.send(Read::Header(found.names.clone())).await.is_err() {
                    return Ok(());
                }
                header = Some(found);
                continue;
            };
            if let Some(batch) = gather.add(row::node(row, columns, options.group.as_deref())) {
                let read = counted.load(std::sync::atomic::Ordering::Relaxed);
                if send.send(Read::Batch { batch, read, length }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    if let Some(batch) = gather.rest() {
        let read = counted.load(std::sync::atomic::Ordering::Relaxed);
        // Nobody listens any more only when the run has been stopped.
        let _ = send.send(Read::Batch { batch, read, length }).await;
    }
    Ok(())
}

fn columns_of(row: Row, options: &Options) -> Result<Header, BulkError> {
    let fault = |reason: String| BulkError::Header { source_name: options.url.to_string(), reason };
    let Row::Fields { text, ends, .. } = row else {
        return Err(fault("the first row cannot be read".to_owned()));
    };
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let names: Result<Vec<String>, _> =
        starts.zip(&ends).map(|(start, end)| String::from_utf8(text[start..*end].to_vec())).collect();
    let names = names.map_err(|_| fault("the first row is not UTF-8".to_owned()))?;
    Header::read(names, options.group.is_some()).map_err(fault)
}

/// How the writing side ended.
enum Ended {
    /// All that was read is in.
    All,
    Stopped,
    TooManyErrors,
}

struct Run<'a> {
    store: &'a Store,
    options: &'a Options,
    progress: &'a dyn Progress,
    job: Arc<Job>,
    done: HashSet<u64>,
    columns: Vec<String>,
    begun: bool,
    sums: Sums,
}

impl Run<'_> {
    async fn write_all(
        &mut self,
        mut batches: mpsc::Receiver<Read>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Ended, BulkError> {
        let mut writing = FuturesUnordered::new();
        let mut flying: HashMap<u64, HashSet<u64>> = HashMap::new();
        let mut ended = None;
        loop {
            if ended.is_none() && *stop.borrow() {
                ended = Some(Ended::Stopped);
            }
            let full = writing.len() >= self.options.in_flight.max(1);
            tokio::select! {
                biased;
                Some((number, sums)) = writing.next() => {
                    flying.remove(&number);
                    self.add(&sums?);
                    if self.options.max_errors.is_some_and(|most| self.sums.failed > most) {
                        ended.get_or_insert(Ended::TooManyErrors);
                    }
                }
                Ok(()) = stop.changed(), if ended.is_none() => {}
                next = batches.recv(), if ended.is_none() && !full => match next {
                    None => ended = Some(Ended::All),
                    Some(Read::Header(columns)) => self.columns = columns,
                    Some(Read::Batch { batch, read, length }) => {
                        self.progress.at(&self.sums, read, length);
                        if self.options.dry_run {
                            self.count_dry(&batch);
                        } else if !self.done.contains(&batch.number) {
                            self.begin().await?;
                            let (number, keys) = (batch.number, keys(&batch));
                            // Of equal keys in different batches the later one wins, too.
                            while flying.values().any(|other| !other.is_disjoint(&keys)) {
                                let Some((number, sums)) = writing.next().await else { break };
                                flying.remove(&number);
                                self.add(&sums?);
                            }
                            flying.insert(number, keys);
                            let (store, job) = (self.store, Arc::clone(&self.job));
                            writing.push(async move { (number, write::write(store, &job, batch, now()).await) });
                        }
                    }
                },
                else => return Ok(ended.unwrap_or(Ended::All)),
            }
            if ended.is_some() && writing.is_empty() {
                return Ok(ended.unwrap_or(Ended::All));
            }
        }
    }

    fn add(&mut self, sums: &Sums) {
        self.sums.inserted += sums.inserted;
        self.sums.updated += sums.updated;
        self.sums.unchanged += sums.unchanged;
        self.sums.duplicates += sums.duplicates;
        self.sums.failed += sums.failed;
        events::nodes_imported(sums.inserted, sums.updated, sums.unchanged, sums.duplicates, sums.failed);
    }

    /// The store is not asked: whatever would go in counts as new.
    fn count_dry(&mut self, batch: &Batch) {
        self.sums.inserted += batch.rows.len() as u64;
        self.sums.duplicates += batch.duplicates;
        self.sums.failed += batch.failures.len() as u64;
    }

    /// The job is there before its first batch.
    async fn begin(&mut self) -> Result<(), StoreError> {
        if !self.begun {
            let job = Arc::clone(&self.job);
            self.store.write(BEGIN, move |session| nodes::begin(session, &job, now())).await?;
            self.begun = true;
        }
        Ok(())
    }

    /// Writes how it ended.
    async fn close(mut self, ended: Ended, read: Result<(), BulkError>) -> Result<Summary, BulkError> {
        let columns = std::mem::take(&mut self.columns);
        if self.options.dry_run {
            read?;
            let status = verdict(&self.sums);
            return Ok(Summary { job: None, status, reason: None, sums: self.sums, columns });
        }
        let whole = match (&ended, read) {
            // What is in stays in. If the file may be whole another time, the job can be gone on with.
            (Ended::All, Err(error)) => {
                if self.begun && error.severity() == Severity::Permanent {
                    fail(self.store, self.job.id.clone(), error.to_string()).await?;
                }
                return Err(error);
            }
            (Ended::All, Ok(())) => true,
            _ => false,
        };
        self.begin().await?;
        let id = self.job.id.clone();
        let of = id.clone();
        let sums = self.store.read(move |session| nodes::sums(session, &of)).await?;
        let (status, reason) = match ended {
            Ended::Stopped => (JobStatus::Processing, None),
            Ended::TooManyErrors => (JobStatus::Failed, Some("more rows failed than are put up with".to_owned())),
            Ended::All => match verdict(&sums) {
                JobStatus::Failed if sums.total() == 0 => (JobStatus::Failed, Some("the file has no rows".to_owned())),
                JobStatus::Failed => (JobStatus::Failed, Some("every row failed".to_owned())),
                status => (status, None),
            },
        };
        if whole || status == JobStatus::Failed {
            let (of, why) = (id.clone(), reason.clone());
            self.store.write(FINISH, move |session| nodes::finish(session, &of, status, why.as_deref(), now())).await?;
            events::node_job_finished(&id, status.as_str(), sums.total(), sums.failed);
        }
        Ok(Summary { job: Some(id), status, reason, sums, columns })
    }
}

/// What tells whether two batches touch the same node; two nodes may look alike, which costs a little waiting.
fn keys(batch: &Batch) -> HashSet<u64> {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    batch.rows.iter().map(|row| hasher.hash_one((&row.group, &row.reference))).collect()
}

/// What a whole file's sums mean.
fn verdict(sums: &Sums) -> JobStatus {
    match (sums.processed(), sums.failed) {
        (0, _) => JobStatus::Failed,
        (_, 0) => JobStatus::Completed,
        _ => JobStatus::PartiallyFailed,
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
