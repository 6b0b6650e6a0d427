//! The writing side: one transaction with its rows, the lines that are none, the counts and the position behind them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Meter;
use super::parse::Rules;
use super::read::Item;
use crate::bulk::BulkError;
use crate::model::RowCounts;
use crate::observe::events;
use crate::store::imported::{self, Reject, Rows, Target, Written};
use crate::store::imports::{self, FailedRow, Number, PieceEnd, Turn};
use crate::store::objects::Position;
use crate::store::sql::{Session, SqlError};
use crate::store::sqlite::CrashPoints;
use crate::store::{Store, StoreError};

const POINTS: CrashPoints = CrashPoints { before: "tables.unit.before_commit", after: "tables.unit.after_commit" };

/// How a file ended, or why its transaction was undone without anybody's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    All,
    /// Somebody stopped it.
    Stopped,
    /// More lines were rejected than are put up with.
    TooMany,
    /// It was cancelled, or somebody else has it.
    Lost,
    /// The reader did not come to the end.
    Broken,
}

/// Where a file stands: how many transactions are in, and the place behind the last.
pub(super) async fn standing(store: &Store, batch: Number) -> Result<(u64, Position), StoreError> {
    store
        .read(move |session| {
            let next = imports::pieces(session, batch)?.last().map_or(0, |last| last + 1);
            let sums = imports::piece_sums(session, batch)?;
            Ok((next, Position { line: sums.lines + 1, offset: sums.bytes }))
        })
        .await
}

/// One transaction to be.
pub(super) struct Unit {
    pub(super) batch: Number,
    pub(super) owner: Option<String>,
    pub(super) number: u64,
    pub(super) table: String,
    pub(super) frozen: bool,
    pub(super) rules: Arc<OnceLock<Arc<Rules>>>,
    pub(super) max_errors: Option<u64>,
    /// The line that was one too many, for people.
    pub(super) last_straw: Arc<Mutex<Option<String>>>,
    pub(super) meter: Arc<Meter>,
}

/// One that is in.
pub(super) struct Done {
    /// What follows it.
    pub(super) items: mpsc::Receiver<Item>,
    /// Something does.
    pub(super) more: bool,
}

impl Unit {
    /// Writes until a cut or the end. The error is how the file has ended, or why it could not go on.
    pub(super) async fn write(
        self,
        store: &Store,
        items: mpsc::Receiver<Item>,
    ) -> Result<Done, Result<Ended, BulkError>> {
        let why = Arc::new(Mutex::new(None));
        let said = Arc::clone(&why);
        let now = jiff::Timestamp::now().as_millisecond();
        let written = store
            .write_alone(POINTS, move |session| {
                let mut feed = Feed {
                    items,
                    share: None,
                    why: said,
                    max_errors: self.max_errors,
                    last_straw: Arc::clone(&self.last_straw),
                    failed: 0,
                    end: None,
                    more: true,
                    meter: Arc::clone(&self.meter),
                };
                let rows = self.run(session, &mut feed, now)?;
                Ok((feed.items, feed.more, rows))
            })
            .await;
        let why = *why.lock().unwrap_or_else(PoisonError::into_inner);
        match (written, why) {
            (Ok((items, more, rows)), _) => {
                events::rows_imported(&rows);
                Ok(Done { items, more })
            }
            (Err(_), Some(ended)) => Err(Ok(ended)),
            (Err(error), None) => Err(Err(error.into())),
        }
    }

    fn run(&self, session: &Session<'_>, feed: &mut Feed, now: i64) -> Result<RowCounts, SqlError> {
        match imports::begin_piece(session, self.batch, self.owner.as_deref(), self.number)? {
            Turn::Ours => {}
            Turn::Done | Turn::Lost => return Err(feed.end(Ended::Lost)),
        }
        let mut kept = 0;
        let mut keep = |rejects: Vec<Reject>| {
            if rejects.is_empty() {
                return Ok(());
            }
            kept += rejects.len() as u64;
            let failed = rejects.into_iter().map(|reject| self.failed(reject)).collect();
            // The counts of the piece follow with its end.
            imports::end_piece(session, self.batch, self.number, &PieceEnd::default(), failed, now)
        };
        // What tells rows apart is known as soon as there is one.
        let first = loop {
            match feed.next()? {
                Some(mut rows) if rows.rows.is_empty() => keep(std::mem::take(&mut rows.rejects))?,
                other => break other,
            }
        };
        let mut written = Written::default();
        if let Some(rows) = first {
            // Whoever has read a row has seen what tells rows apart.
            let Some(rules) = self.rules.get() else { return Err(feed.end(Ended::Broken)) };
            let target = Target { table: self.table.clone(), key: rules.key.clone(), frozen: self.frozen };
            let mut first = Some(rows);
            let mut next = || match first.take() {
                Some(rows) => Ok(Some(rows)),
                None => feed.next(),
            };
            written = imported::write(session, &target, now, &mut next, &mut keep)?;
        }
        let rows = RowCounts {
            inserted: written.inserted,
            updated: written.updated,
            unchanged: written.unchanged,
            duplicates: written.duplicates,
            failed: kept,
        };
        let end =
            feed.end.map_or_else(PieceEnd::default, |end| PieceEnd { rows, bytes: end.offset, lines: end.line - 1 });
        imports::end_piece(session, self.batch, self.number, &PieceEnd { rows, ..end }, Vec::new(), now)?;
        Ok(rows)
    }

    fn failed(&self, reject: Reject) -> FailedRow {
        FailedRow {
            line: reject.at.line,
            offset: reject.at.offset,
            kind: self.table.clone(),
            external_id: None,
            code: reject.code.to_owned(),
            message: reject.message,
            original: Some(reject.original).filter(|original: &Bytes| !original.is_empty()),
        }
    }
}

/// The last of some rejected lines, in words.
pub(super) fn last_straw(rejects: &[Reject]) -> Option<String> {
    rejects.last().map(|reject| format!("line {}: {}", reject.at.line, reject.message))
}

/// What comes from the reader, taken on the store's thread.
struct Feed {
    items: mpsc::Receiver<Item>,
    /// The share of the rows that are being written.
    share: Option<OwnedSemaphorePermit>,
    why: Arc<Mutex<Option<Ended>>>,
    max_errors: Option<u64>,
    last_straw: Arc<Mutex<Option<String>>>,
    failed: u64,
    /// Behind the last rows.
    end: Option<Position>,
    /// Not at the end of the file.
    more: bool,
    meter: Arc<Meter>,
}

impl Feed {
    fn next(&mut self) -> Result<Option<Rows>, SqlError> {
        self.share = None;
        match self.items.blocking_recv() {
            None => Err(self.end(Ended::Broken)),
            Some(Item::Cut) => Ok(None),
            Some(Item::End) => {
                self.more = false;
                Ok(None)
            }
            Some(Item::Chunk { rows, share }) => {
                let Ok(rows) = rows.blocking_recv() else { return Err(self.end(Ended::Broken)) };
                self.share = Some(share);
                self.end = rows.end.or(self.end);
                self.failed += rows.rejects.len() as u64;
                self.meter.rows.fetch_add(rows.rows.len() as u64 + rows.duplicates, Ordering::Relaxed);
                self.meter.failed.fetch_add(rows.rejects.len() as u64, Ordering::Relaxed);
                if self.max_errors.is_some_and(|most| self.failed > most) {
                    *self.last_straw.lock().unwrap_or_else(PoisonError::into_inner) = last_straw(&rows.rejects);
                    return Err(self.end(Ended::TooMany));
                }
                Ok(Some(rows))
            }
        }
    }

    /// Notes why the transaction has to be undone.
    fn end(&self, ended: Ended) -> SqlError {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        SqlError::Refused("the transaction is undone".to_owned())
    }
}
