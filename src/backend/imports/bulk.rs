//! Bulk imports: files of rows, each a batch, whose rows are counted by pieces.
//!
//! Two may work on a batch: the command that began it, or a worker that claims it for a while (lease) and renews that.
//! Whoever does reads the object, cuts its rows into pieces and writes each with [`begin_piece`], the rows and
//! [`end_piece`] in one transaction; pieces that are in are left out by whoever goes on. [`Imports::end_file`] counts
//! them and ends the batch, and with the last batch the import.
//!
//! [`begin_piece`]: crate::store::imports::begin_piece
//! [`end_piece`]: crate::store::imports::end_piece

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use uuid::Uuid;

use super::settle::{begin, end_batch, say_import, settle_import};
use super::{Imports, derive, now};
use crate::model::{Collision, ImportFormat, ImportId, ImportStatus, ResultCounts, RowCounts};
use crate::observe::events;
use crate::store::StoreError;
use crate::store::imports::{
    self, BatchPage, Bulk, FailedRow, NewBatch, NewImport, Number, Patience, PieceEnd, Process, Runner, StoredBatch,
};
use crate::store::sql::{Engine, Session, SqlError};
use crate::store::sqlite::CrashPoints;

const BEGIN: CrashPoints = CrashPoints { before: "bulk.begin.before_commit", after: "bulk.begin.after_commit" };
const FILE: CrashPoints = CrashPoints { before: "bulk.file.before_commit", after: "bulk.file.after_commit" };
const END: CrashPoints = CrashPoints { before: "bulk.end.before_commit", after: "bulk.end.after_commit" };
const CLAIM: CrashPoints = CrashPoints { before: "bulk.claim.before_commit", after: "bulk.claim.after_commit" };

/// Tries of a change, after the first, while the store is busy or away; and bounds of the waits between them.
const TRIES: usize = 5;
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// An import of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkBegin {
    /// What the files hold.
    pub format: ImportFormat,
    /// What the format has to know: JSON. An import is gone on with only under the same options.
    pub options: Option<String>,
    /// Where the rows come from, for people.
    pub source: String,
    /// What imports them.
    pub processor: String,
    /// Addresses of the files, each once.
    pub files: Vec<String>,
    /// Rows of a piece; a file that is gone on with keeps its own number.
    pub piece_rows: u64,
    /// Go on with the newest import that has one of these files still to do.
    pub resume: bool,
}

/// An import of the command line that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkBegun {
    /// The import.
    pub import: ImportId,
    /// Its files, as they were asked for.
    pub files: Vec<BulkFile>,
}

/// A file of a bulk import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkFile {
    /// The import's number.
    pub import: Number,
    /// The batch's number.
    pub batch: Number,
    /// Where the rows are; none = they came with the request ([`Imports::bulk_input`]).
    pub url: Option<String>,
    /// Which version of the object its pieces are of, if it was begun before.
    pub tag: Option<String>,
    /// Rows of a piece.
    pub piece_rows: u64,
    /// How far it is: an end is an end.
    pub status: ImportStatus,
    /// Whose claim it is; none = it belongs to the command.
    pub owner: Option<String>,
    /// How often it is tried; none = as the settings say.
    pub patience: Option<Patience>,
    /// How many ids of rows that are in are kept, in the order of the file.
    pub tells: u32,
}

/// A file that is a worker's for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkWork {
    /// The file.
    pub file: BulkFile,
    /// What it holds.
    pub format: ImportFormat,
    /// What the format has to know.
    pub options: Option<String>,
    /// Attempts without progress, this one included.
    pub attempts: u32,
}

/// How a file has ended, or where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEnd {
    /// Its status.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What its pieces add up to.
    pub rows: RowCounts,
}

/// What is told of a file that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Reference ids of rows that are in, in the order of the file, as many as were asked for.
    pub done: Vec<String>,
    /// Rows that are not in, as many as were asked for.
    pub failed: Vec<FailedRow>,
    /// It was read to its end.
    pub whole: bool,
    /// Attempts without progress, the last one included.
    pub attempts: u32,
}

/// What an import has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkOutcome {
    /// Its status.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What its pieces add up to.
    pub rows: RowCounts,
}

impl Imports {
    /// Begins an import of the command line with all of its files, or finds the one to go on with. No more files can be
    /// added by others.
    pub async fn begin_bulk(&self, new: BulkBegin) -> Result<BulkBegun, StoreError> {
        let now = now();
        let begun = self.patiently(BEGIN, move |session| {
            let mut known = None;
            for url in new.files.iter().filter(|_| new.resume) {
                known = imports::unfinished_command(session, new.format, new.options.as_deref(), url)?;
                if known.is_some() {
                    break;
                }
            }
            let number = if let Some(number) = known {
                number
            } else {
                let number = imports::insert_import(session, &import(&new), now)?;
                say_import(session, number, ImportStatus::Created, None, None, now)?;
                imports::finalise(session, number, now)?;
                number
            };
            let page = BatchPage { status: None, after: 0, limit: u32::MAX };
            let mut batches = imports::batches(session, number, page)?;
            let mut files = Vec::with_capacity(new.files.len());
            for url in &new.files {
                let found = batches.iter().find(|batch| batch.batch.storage_url.as_ref() == Some(url)).cloned();
                let batch = if let Some(batch) = found {
                    batch
                } else {
                    let bulk = Bulk::new(Runner::Command, new.piece_rows);
                    let batch = add_batch(session, number, Some(url.clone()), None, bulk, now)?;
                    batches.push(batch.clone());
                    batch
                };
                files.push(file(batch, None));
            }
            let id = imports::import_by_number(session, number)?.import.id;
            let import = id.parse().map_err(|_| SqlError::Unreadable(format!("`{id}` is no import's id")))?;
            Ok(BulkBegun { import, files })
        });
        let begun = begun.await?;
        self.tell();
        Ok(begun)
    }

    /// Begins with a file: from now on its pieces are of this version of its object. `false`: it is not ours (any
    /// more).
    pub async fn begin_file(
        &self,
        file: &BulkFile,
        tag: Option<String>,
        size: Option<u64>,
    ) -> Result<bool, StoreError> {
        let (number, owner, now) = (file.batch, file.owner.clone(), now());
        let begun = self.patiently(FILE, move |session| {
            if !imports::is_ours(session, number, owner.as_deref())? {
                return Ok(false);
            }
            let batch = imports::batch_by_number(session, number)?;
            imports::lock_import(session, batch.batch.import)?;
            begin(session, batch.batch.import, Some(&batch), now)?;
            imports::note_object(session, number, tag.as_deref(), size, now)?;
            Ok(true)
        });
        let begun = begun.await?;
        self.tell();
        Ok(begun)
    }

    /// Numbers of the pieces of a file that are in.
    pub async fn pieces(&self, file: &BulkFile) -> Result<Vec<u64>, StoreError> {
        let batch = file.batch;
        self.store.read(move |session| imports::pieces(session, batch)).await
    }

    /// What came with the request instead of an address.
    pub async fn bulk_input(&self, file: &BulkFile) -> Result<Option<Vec<u8>>, StoreError> {
        let batch = file.batch;
        self.store.read(move |session| imports::input(session, batch)).await
    }

    /// Where a file stands.
    pub async fn file_end(&self, file: &BulkFile) -> Result<FileEnd, StoreError> {
        let batch = file.batch;
        self.store.read(move |session| end_of(session, batch)).await
    }

    /// Ends a file: it was read to its end, or `trouble` says why it never will be. A file that has ended, or that is
    /// not ours any more, stays as it is.
    pub async fn end_file(&self, file: &BulkFile, trouble: Option<String>) -> Result<FileEnd, StoreError> {
        let (number, owner, import, now) = (file.batch, file.owner.clone(), file.import, now());
        let ended = self.patiently(END, move |session| {
            imports::lock_import(session, import)?;
            imports::lock_pieces(session, number)?;
            if imports::is_ours(session, number, owner.as_deref())? {
                let batch = imports::batch_by_number(session, number)?;
                begin(session, import, Some(&batch), now)?;
                let sums = imports::piece_sums(session, number)?;
                let (status, reason) = derive::bulk_end(&sums.rows, trouble.as_deref());
                if status == ImportStatus::Completed {
                    imports::drop_input(session, number)?;
                }
                imports::note_position(session, number, &sums)?;
                end_batch(session, &batch, status, &sums.rows.as_results(), reason.as_deref(), now)?;
                settle_import(session, import, now)?;
            }
            end_of(session, number)
        });
        let ended = ended.await?;
        self.tell();
        Ok(ended)
    }

    /// Tells watchers how far an import is.
    pub async fn tell_bulk_progress(&self, import: Number) -> Result<(), StoreError> {
        let now = now();
        let (totals, rows) = self
            .store
            .read(move |session| Ok((imports::totals(session, import)?, imports::import_rows(session, import)?)))
            .await?;
        self.store
            .write(super::work::SETTLE, move |session| {
                let data = serde_json::json!({
                    "results": totals.results, "open_batches": totals.open_batches, "rows": rows,
                });
                imports::append(session, import, "progress", &data.to_string(), now)
            })
            .await?;
        self.tell();
        Ok(())
    }

    /// What an import has come to so far.
    pub async fn bulk_outcome(&self, import: ImportId) -> Result<Option<BulkOutcome>, StoreError> {
        let id = import.to_string();
        let found = self.store.read(move |session| {
            let Some(import) = imports::import_by_id(session, &id)? else { return Ok(None) };
            let rows = imports::import_rows(session, import.number)?;
            Ok(Some(BulkOutcome { status: import.status, reason: import.reason, rows }))
        });
        found.await
    }

    /// What there is to tell about the only file of an import, with at most so many entries in each list.
    pub async fn told(&self, import: Number, most: u32) -> Result<Told, StoreError> {
        let read = self.store.read(move |session| {
            let page = BatchPage { status: None, after: 0, limit: 1 };
            let Some(batch) = imports::batches(session, import, page)?.into_iter().next() else {
                return Ok(Told::default());
            };
            let rows = imports::piece_sums(session, batch.number)?.rows;
            let (mut done, mut from) = (Vec::new(), 0);
            while done.len() < most as usize
                && let Some((ids, next)) = imports::told(session, batch.number, from)?
            {
                done.extend(ids);
                from = next;
            }
            done.truncate(most as usize);
            Ok(Told {
                done,
                failed: imports::failed_rows(session, batch.number, 0, most)?,
                // Any other end says what was in the way of reading it.
                whole: derive::bulk_end(&rows, None) == (batch.batch.status, batch.batch.reason),
                attempts: batch.attempts,
            })
        });
        read.await
    }

    /// Takes a file that waits for a worker.
    pub async fn claim_bulk(&self) -> Result<Option<BulkWork>, StoreError> {
        let now = now();
        if !self.store.read(move |session| imports::any_claimable(session, now)).await? {
            return Ok(None);
        }
        let (owner, until) = (self.owner.clone(), self.lease_until(now));
        let claimed = self.store.write(CLAIM, move |session| {
            let Some(claimed) = imports::claim_bulk(session, &owner, until, now)? else { return Ok(None) };
            let file = file(imports::batch_by_number(session, claimed.batch)?, Some(owner));
            let import = claimed.import.import;
            Ok(Some(BulkWork { file, format: import.format, options: import.options, attempts: claimed.attempts }))
        });
        claimed.await
    }

    /// Holds a claimed file for longer; `false`: it is not ours any more. `progress`: something of it has come in since.
    pub async fn hold_bulk(&self, file: &BulkFile, progress: bool) -> Result<bool, StoreError> {
        let Some(owner) = file.owner.clone() else { return Ok(true) };
        let (batch, until) = (file.batch, self.lease_until(now()));
        self.store.write(CLAIM, move |session| imports::hold_bulk(session, batch, &owner, until, progress)).await
    }

    /// Gives a claimed file back, to be gone on with after so many milliseconds. `counts`: the attempt does.
    pub async fn give_back_bulk(&self, work: &BulkWork, wait: i64, counts: bool) -> Result<(), StoreError> {
        let (batch, now) = (work.file.batch, now());
        let owner = work.file.owner.clone().unwrap_or_default();
        let attempts = if counts { work.attempts } else { work.attempts.saturating_sub(1) };
        let given = self.store.write(CLAIM, move |session| {
            imports::postpone_fetch(session, batch, &owner, now.saturating_add(wait), attempts, now).map(drop)
        });
        given.await
    }

    /// A change that is tried again while the store is busy or away: another process may be writing a whole file into it.
    pub(super) async fn patiently<T, F>(&self, points: CrashPoints, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, SqlError> + Clone + Send + 'static,
    {
        let waits = ExponentialBuilder::default().with_min_delay(WAITS.0).with_max_delay(WAITS.1).with_max_times(TRIES);
        (|| self.store.write(points, job.clone()))
            .retry(waits.with_jitter())
            .when(StoreError::is_transient)
            .notify(|error, wait| events::store_locked(&error.to_string(), wait))
            .await
    }

    /// When there may be a file for a worker.
    pub async fn bulk_waiting(&self) {
        self.bulk.notified().await;
    }
}

/// Rows of a piece where nobody says how many: what the engine likes.
pub fn piece_rows(engine: Engine) -> u64 {
    match engine {
        Engine::Sqlite | Engine::Postgres => 1000,
    }
}

fn import(new: &BulkBegin) -> NewImport {
    NewImport {
        id: ImportId::new().to_string(),
        source: new.source.clone(),
        processor: new.processor.clone(),
        expected_count: None,
        notes: None,
        collision: Collision::Upsert,
        process: Process::Now,
        idempotency_key: None,
        request_hash: None,
        retry_of: None,
        format: new.format,
        options: new.options.clone(),
    }
}

/// Adds a batch to an import.
pub(super) fn add_batch(
    session: &Session<'_>,
    import: Number,
    storage_url: Option<String>,
    idempotency_key: Option<String>,
    bulk: Bulk,
    now: i64,
) -> Result<StoredBatch, SqlError> {
    let ordinal = imports::take_numbers(session, import, 1, 0)?.batch;
    let new = NewBatch {
        id: Uuid::now_v7().to_string(),
        import,
        ordinal,
        storage_url,
        idempotency_key,
        content_hash: None,
        status: ImportStatus::Created,
        reason: None,
        received: false,
        records: 0,
        counts: ResultCounts::default(),
        position: (0, 0),
        lease: None,
        bulk: Some(bulk),
    };
    let number = imports::insert_batch(session, &new, now)?;
    imports::batch_by_number(session, number)
}

fn file(stored: StoredBatch, owner: Option<String>) -> BulkFile {
    BulkFile {
        import: stored.batch.import,
        batch: stored.number,
        url: stored.batch.storage_url,
        tag: stored.tag,
        piece_rows: stored.batch.bulk.map_or(1, |bulk| bulk.piece_rows),
        status: stored.batch.status,
        owner,
        patience: stored.batch.bulk.and_then(|bulk| bulk.patience),
        tells: stored.batch.bulk.map_or(0, |bulk| bulk.tells),
    }
}

fn end_of(session: &Session<'_>, number: Number) -> Result<FileEnd, SqlError> {
    let batch = imports::batch_by_number(session, number)?;
    let PieceEnd { rows, .. } = imports::piece_sums(session, number)?;
    Ok(FileEnd { status: batch.batch.status, reason: batch.batch.reason, rows })
}
