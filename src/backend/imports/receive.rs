//! Batches that come with their request: stored piece by piece as they arrive, so that memory stays flat, and worked on
//! when they are here to the last byte. A body that is cut leaves nothing but the batch with the reason.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use uuid::Uuid;

use super::read::batch_view;
use super::settle::{begin, end_batch, settle_batch, settle_import};
use super::{BatchView, Imports, ImportsError, Item, Refused, now};
use crate::model::{ImportFormat, ImportId, ImportStatus, ResultCounts};
use crate::store::imports::{
    self, MOST_RECORDS, NewBatch, NewResult, Number, Progress, StoredBatch, StoredImport, StoredResult,
};
use crate::store::objects::{Framer, Position};
use crate::store::sql::{Session, SqlError};
use crate::store::sqlite::CrashPoints;

const RECEIVE: CrashPoints =
    CrashPoints { before: "imports.receive.before_commit", after: "imports.receive.after_commit" };

/// Records that are stored at once, and their bytes.
pub(super) const PIECE: (usize, usize) = (500, 1 << 20);

/// What is said of records that are sent to an import of another format.
pub(super) const NO_RECORDS: &str =
    "This import takes no records: send a storage_url, or reference_ids to one of nodes";

/// What is read on, to throw it away, of a body that is refused: a client that is still sending when the connection
/// closes would see a broken connection instead of the reason.
const PATIENCE: u64 = 64 << 20;

/// What has become of a sent batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The batch.
    pub view: BatchView,
    /// Its results, if they are known already.
    pub results: Option<Vec<StoredResult>>,
    /// An earlier request with the same key had sent it.
    pub replayed: bool,
}

/// Where a batch goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) import: ImportId,
    pub(super) key: Option<String>,
}

/// May it come?
pub(super) enum Admitted {
    /// Into this import.
    New(StoredImport),
    /// It is here already.
    Known(StoredBatch),
}

/// Looks whether the import takes a batch of this key.
pub(super) fn admit(session: &Session<'_>, target: &Target, now: i64) -> Result<Result<Admitted, Refused>, SqlError> {
    let Some(import) = imports::import_by_id(session, &target.import.to_string())? else {
        return Ok(Err(Refused::NoSuchImport));
    };
    if let Some(key) = &target.key {
        session.lock(&format!("import {} batch {key}", import.number))?;
        if let Some(batch) = imports::batch_by_key(session, import.number, key)? {
            let lost = batch.batch.lease.as_ref().is_none_or(|(_, until)| *until < now);
            let here = batch.batch.received || batch.batch.storage_url.is_some() || batch.batch.bulk.is_some();
            match (here, batch.batch.status.is_final()) {
                (true, _) => return Ok(Ok(Admitted::Known(batch))),
                (false, false) if !lost => return Ok(Err(Refused::KeyInUse)),
                (false, ended) => {
                    if !ended {
                        fail_cut(session, &batch, "the body was cut, and then sent again", now)?;
                    }
                    imports::supersede(session, batch.number, now)?;
                }
            }
        }
    }
    Ok(match (import.status.is_final(), import.finalised_at) {
        (_, Some(_)) => Err(Refused::Finalised),
        (true, None) => Err(Refused::Ended(import.status.as_str())),
        (false, None) => Ok(Admitted::New(import)),
    })
}

/// A batch that did not come whole: nothing of it stays but the reason.
pub(super) fn fail_cut(session: &Session<'_>, batch: &StoredBatch, reason: &str, now: i64) -> Result<(), SqlError> {
    imports::lock_import(session, batch.batch.import)?;
    imports::drop_results(session, batch.number)?;
    begin(session, batch.batch.import, Some(batch), now)?;
    end_batch(session, batch, ImportStatus::Failed, &ResultCounts::default(), Some(reason), now)?;
    settle_import(session, batch.batch.import, now)
}

impl Imports {
    /// Takes a batch as lines. With `wait`, a small one is worked on before this answers.
    pub async fn receive_lines<S, E>(
        &self,
        import: ImportId,
        key: Option<String>,
        stream: S,
        wait: Option<Duration>,
    ) -> Result<Received, ImportsError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
        E: std::fmt::Display + Send,
    {
        let target = Target { import, key };
        let mut body = Body::new(stream, self.limits().record_bytes, self.limits().batch_bytes, self.limits().idle);
        let mut receipt = Receipt { imports: self.clone(), target, open: None };
        let mut piece = body.piece().await;
        loop {
            let this = match piece {
                Ok(this) => this,
                Err(refused) => {
                    receipt.fail(&refused).await;
                    return Err(refused.into());
                }
            };
            if this.last {
                return receipt.last(this, body.hash(), wait).await;
            }
            // While one piece is stored, the next one arrives.
            let (stored, next) = tokio::join!(receipt.store(this, None), body.piece());
            match stored {
                Ok(None) => piece = next,
                Ok(Some(known)) => {
                    next?;
                    body.drain(u64::MAX).await?;
                    return self.same(known, &body.hash(), wait).await;
                }
                Err(error) => {
                    // Best effort: the answer is the error that came first.
                    let _ = body.drain(PATIENCE).await;
                    receipt.fail(&error).await;
                    return Err(error);
                }
            }
        }
    }

    /// Takes a batch that is here whole. `hash` is of its bytes.
    pub async fn receive_items(
        &self,
        import: ImportId,
        key: Option<String>,
        items: Vec<Item>,
        hash: String,
        wait: Option<Duration>,
    ) -> Result<Received, ImportsError> {
        let mut receipt = Receipt { imports: self.clone(), target: Target { import, key }, open: None };
        let mut done = Progress { records: 0, bytes: 0, lines: 0, tag: None };
        let mut rest = items;
        loop {
            let mut size = 0;
            let count = rest
                .iter()
                .take(PIECE.0)
                .take_while(|item| {
                    size += item.size();
                    size <= PIECE.1
                })
                .count()
                .max(1)
                .min(rest.len());
            let tail = rest.split_off(count);
            done.records += rest.len() as u64;
            if let Some(item) = rest.last() {
                done.bytes = item.place.offset + item.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
            }
            let piece = Piece { items: rest, done: done.clone(), last: tail.is_empty() };
            if piece.last {
                return receipt.last(piece, hash, wait).await;
            }
            if let Some(known) = receipt.store(piece, None).await? {
                return self.same(known, &hash, wait).await;
            }
            rest = tail;
        }
    }

    /// An answer for a key that was used before.
    pub(super) async fn same(
        &self,
        known: StoredBatch,
        hash: &str,
        wait: Option<Duration>,
    ) -> Result<Received, ImportsError> {
        if known.batch.content_hash.as_deref() != Some(hash) {
            return Err(Refused::KeyReused.into());
        }
        let received = self.ended(known.number, wait).await?;
        Ok(Received { replayed: true, ..received })
    }

    /// The batch as it is, at the latest after `wait`; with its results if it has ended by then and somebody waited.
    pub(super) async fn ended(&self, batch: Number, wait: Option<Duration>) -> Result<Received, ImportsError> {
        let until = tokio::time::Instant::now() + wait.unwrap_or_default();
        let mut news = self.news();
        loop {
            news.mark_unchanged();
            let found = self.store.read(move |session| {
                let batch = imports::batch_by_number(session, batch)?;
                let view = batch_view(session, batch)?;
                let BatchView { batch, counts, .. } = &view;
                if !batch.batch.status.is_final() {
                    return Ok((view, None));
                }
                let small = wait.is_some() && counts.total() <= super::small::MOST as u64;
                let query = imports::ResultQuery {
                    batch: Some(batch.number),
                    limit: 1000,
                    originals: true,
                    ..imports::ResultQuery::default()
                };
                let results = small.then(|| imports::results(session, batch.batch.import, &query)).transpose()?;
                Ok((view, results))
            });
            let (view, results) = found.await?;
            if view.batch.batch.status.is_final() || tokio::time::Instant::now() >= until {
                return Ok(Received { view, results, replayed: false });
            }
            // Another server may end it, and tells only the store.
            let patience = until.min(tokio::time::Instant::now() + Duration::from_millis(250));
            let _ = tokio::time::timeout_at(patience, news.changed()).await;
        }
    }
}

/// Some of a batch's records.
pub(super) struct Piece {
    pub(super) items: Vec<Item>,
    /// Where reading stands behind them.
    pub(super) done: Progress,
    /// Nothing follows.
    pub(super) last: bool,
}

/// A batch on its way in.
struct Receipt {
    imports: Imports,
    target: Target,
    /// Its number, when the first piece is stored.
    open: Option<Number>,
}

impl Receipt {
    /// Stores the last piece and says what has become of the batch.
    async fn last(mut self, piece: Piece, hash: String, wait: Option<Duration>) -> Result<Received, ImportsError> {
        let imports = self.imports.clone();
        if self.open.is_none()
            && wait.is_some()
            && piece.items.len() <= super::small::MOST
            && let Some(received) = imports.receive_small(&self.target, &piece, &hash, wait).await?
        {
            return Ok(received);
        }
        match self.store(piece, Some(hash.clone())).await {
            Ok(Some(known)) => imports.same(known, &hash, wait).await,
            Ok(None) => {
                imports.wake();
                let number = self.open.ok_or(Refused::NoSuchBatch)?;
                imports.ended(number, wait).await
            }
            Err(error) => {
                self.fail(&error).await;
                Err(error)
            }
        }
    }

    /// Stores a piece; the first one makes the batch, the one with a hash is the last. The batch, if it was here
    /// before.
    async fn store(&mut self, piece: Piece, hash: Option<String>) -> Result<Option<StoredBatch>, ImportsError> {
        let longest = self.imports.limits().record_bytes;
        if piece.done.records > MOST_RECORDS {
            return Err(Refused::TooLarge(format!("A batch holds at most {MOST_RECORDS} records")).into());
        }
        let results: Vec<NewResult> = piece.items.iter().map(|item| item.result(longest)).collect();
        let now = now();
        let until = self.imports.lease_until(now);
        let owner = self.imports.owner.clone();
        let target = self.target.clone();
        let open = self.open;
        let done = piece.done;
        let stored = self.imports.store.write(RECEIVE, move |session| {
            let number = match open {
                Some(number) => {
                    if !imports::advance(session, number, &owner, &done, until, now)? {
                        return Ok(Err(Refused::Cancelled));
                    }
                    number
                }
                None => match make(session, &target, &done, (owner.clone(), until), now)? {
                    Err(refused) => return Ok(Err(refused)),
                    Ok(Made::Known(batch)) => return Ok(Ok((None, Some(*batch)))),
                    Ok(Made::New(number)) => number,
                },
            };
            imports::insert_results(session, number, &results, now)?;
            if let Some(hash) = hash {
                imports::received(session, number, &owner, Some(&hash), now)?;
                settle_batch(session, number, now)?;
            }
            Ok(Ok((Some(number), None)))
        });
        let (number, known) = self.imports.soon(stored).await??;
        self.open = number;
        Ok(known)
    }

    /// Ends the batch that will not come whole.
    async fn fail(&mut self, why: &(impl std::fmt::Display + ?Sized)) {
        let Some(number) = self.open.take() else { return };
        let reason = why.to_string();
        let now = now();
        let failed = self.imports.store.write(RECEIVE, move |session| {
            let batch = imports::batch_by_number(session, number)?;
            if batch.batch.status.is_final() { Ok(()) } else { fail_cut(session, &batch, &reason, now) }
        });
        // A store that is away: the lease lapses, and the sweep does the same.
        let _ = failed.await;
        self.imports.tell();
    }
}

enum Made {
    New(Number),
    Known(Box<StoredBatch>),
}

fn make(
    session: &Session<'_>,
    target: &Target,
    done: &Progress,
    lease: (String, i64),
    now: i64,
) -> Result<Result<Made, Refused>, SqlError> {
    let import = match admit(session, target, now)? {
        Err(refused) => return Ok(Err(refused)),
        Ok(Admitted::Known(batch)) => return Ok(Ok(Made::Known(Box::new(batch)))),
        Ok(Admitted::New(import)) if import.import.format != ImportFormat::Records => {
            return Ok(Err(Refused::Format(NO_RECORDS)));
        }
        Ok(Admitted::New(import)) => import,
    };
    imports::lock_import(session, import.number)?;
    let numbers = imports::take_numbers(session, import.number, 1, 0)?;
    if numbers.closed {
        return Ok(Err(Refused::Finalised));
    }
    begin(session, import.number, None, now)?;
    let new = NewBatch {
        id: Uuid::now_v7().to_string(),
        import: import.number,
        ordinal: numbers.batch,
        storage_url: None,
        idempotency_key: target.key.clone(),
        content_hash: None,
        status: ImportStatus::Created,
        reason: None,
        received: false,
        records: done.records,
        counts: ResultCounts::default(),
        position: (done.bytes, done.lines),
        lease: Some(lease),
        bulk: None,
    };
    imports::insert_batch(session, &new, now).map(|number| Ok(Made::New(number)))
}

/// A body that is cut into lines while it is hashed and measured.
struct Body<S> {
    stream: S,
    framer: Framer,
    hasher: blake3::Hasher,
    seen: u64,
    most: u64,
    idle: Duration,
    ended: bool,
    records: u64,
}

impl<S, E> Body<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    fn new(stream: S, line: usize, most: u64, idle: Duration) -> Self {
        let framer = Framer::new(Position::START, line);
        Self { stream, framer, hasher: blake3::Hasher::new(), seen: 0, most, idle, ended: false, records: 0 }
    }

    fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// The next bytes; `None` after the last.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Refused> {
        let cut = |why: &str, seen| Refused::Cut(format!("The body was cut after {seen} bytes ({why}): send it again"));
        let next = tokio::time::timeout(self.idle, self.stream.next()).await;
        let Some(chunk) = next.map_err(|_| cut("it paused for too long", self.seen))? else { return Ok(None) };
        let chunk = chunk.map_err(|error| cut(&error.to_string(), self.seen))?;
        self.seen += chunk.len() as u64;
        if self.seen > self.most {
            let most = self.most;
            return Err(Refused::TooLarge(format!("A batch has at most {most} bytes: send it in several")));
        }
        self.hasher.update(&chunk);
        Ok(Some(chunk))
    }

    /// The next records.
    async fn piece(&mut self) -> Result<Piece, Refused> {
        let (mut items, mut size) = (Vec::new(), 0);
        let last = loop {
            let frame = match self.framer.take() {
                Some(frame) => frame,
                None if self.ended => match self.framer.finish() {
                    Some(frame) => frame,
                    None => break true,
                },
                None => {
                    match self.chunk().await? {
                        Some(chunk) => self.framer.push(chunk),
                        None => self.ended = true,
                    }
                    continue;
                }
            };
            if let Some(item) = Item::of_line(frame, self.records + 1) {
                self.records += 1;
                size += item.size();
                items.push(item);
                if items.len() >= PIECE.0 || size >= PIECE.1 {
                    break false;
                }
            }
        };
        let at = self.framer.position();
        let done = Progress { records: self.records, bytes: at.offset, lines: at.line - 1, tag: None };
        Ok(Piece { items, done, last })
    }

    /// Reads on without keeping anything.
    async fn drain(&mut self, most: u64) -> Result<(), Refused> {
        let until = self.seen.saturating_add(most);
        while !self.ended && self.seen < until {
            self.ended = self.chunk().await?.is_none();
        }
        Ok(())
    }
}
