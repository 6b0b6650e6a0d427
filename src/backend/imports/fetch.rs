//! Batches that are fetched: the worker reads lines from their place and stores them with the position behind them, in
//! one transaction, so that a fetch that breaks goes on where it stopped and stores each line once.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use super::receive::{Admitted, PIECE, Received, Target, admit};
use super::settle::{begin, settle_batch};
use super::work::IDLE;
use super::{Imports, ImportsError, Item, Refused, backoff, now};
use crate::backend::tasks;
use crate::error::{Fault as _, Severity};
use crate::model::{ImportFormat, ImportId, ImportStatus, NodesOptions, ResultCounts};
use crate::observe::{events, spans};
use crate::store::StoreError;
use crate::store::imports::{self, Bulk, Fetchable, MOST_RECORDS, NewBatch, NewImport, NewResult, Progress, Runner};
use crate::store::objects::{ObjectError, ObjectLines, ObjectUrl, Position, StartAt};
use crate::store::sqlite::CrashPoints;

const FETCH: CrashPoints = CrashPoints { before: "imports.fetch.before_commit", after: "imports.fetch.after_commit" };

/// Places that are read at once.
const AT_ONCE: usize = 4;

/// What is worked on later.
enum Later {
    /// Whatever is there.
    Url(String),
    /// Reference ids, as a JSON array.
    Ids(Vec<u8>),
}

impl Later {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Url(url) => url.as_bytes(),
            Self::Ids(ids) => ids,
        }
    }

    fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) => Some(url),
            Self::Ids(_) => None,
        }
    }
}

/// Nodes from ids alone need to know their group.
fn takes_ids(import: &NewImport) -> bool {
    let options = import.options.as_deref().filter(|_| import.format == ImportFormat::Nodes);
    options
        .and_then(|text| serde_json::from_str::<NodesOptions>(text).ok())
        .is_some_and(|options| options.group.is_some())
}

/// Why a fetch ends before the place does.
enum Broken {
    /// The place, or what is there.
    Place(ObjectError),
    /// More records than a batch holds.
    TooMany,
    /// Our store.
    Store(StoreError),
    /// Somebody cancelled it, or took it over.
    Lost,
    /// The server stops.
    Stopped,
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ObjectError> for Broken {
    fn from(error: ObjectError) -> Self {
        Self::Place(error)
    }
}

impl Imports {
    /// Takes a batch that is to be fetched from `url`; of a bulk import, by a worker of its own.
    pub async fn receive_url(
        &self,
        import: ImportId,
        key: Option<String>,
        url: String,
    ) -> Result<Received, ImportsError> {
        let Some(sources) = &self.sources else {
            return Err(Refused::Place("This server fetches nothing".to_owned()).into());
        };
        let parsed = ObjectUrl::parse(&url).map_err(|error| Refused::Place(error.to_string()))?;
        sources.check(&parsed).map_err(|error| Refused::PlaceForbidden(error.to_string()))?;
        self.receive_later(Target { import, key }, Later::Url(url)).await
    }

    /// Takes reference ids of an import of nodes.
    pub async fn receive_ids(
        &self,
        import: ImportId,
        key: Option<String>,
        ids: &[String],
    ) -> Result<Received, ImportsError> {
        let ids = serde_json::to_vec(ids).unwrap_or_default();
        self.receive_later(Target { import, key }, Later::Ids(ids)).await
    }

    /// Takes a batch that somebody works on later.
    async fn receive_later(&self, target: Target, later: Later) -> Result<Received, ImportsError> {
        let hash = blake3::hash(later.bytes()).to_hex().to_string();
        let content_hash = hash.clone();
        let piece_rows = self.piece_rows();
        let now = now();
        let made = self.store.write(FETCH, move |session| {
            let import = match admit(session, &target, now)? {
                Err(refused) => return Ok(Err(refused)),
                Ok(Admitted::Known(batch)) => return Ok(Ok((batch, true))),
                Ok(Admitted::New(import)) => import,
            };
            let format = import.import.format;
            if matches!(later, Later::Ids(_)) && !takes_ids(&import.import) {
                return Ok(Err(Refused::Format("Only an import of nodes with a group takes reference_ids")));
            }
            imports::lock_import(session, import.number)?;
            if let Later::Url(url) = &later
                && imports::batch_by_url(session, import.number, url)?.is_some()
            {
                return Ok(Err(Refused::SamePlace));
            }
            let numbers = imports::take_numbers(session, import.number, 1, 0)?;
            if numbers.closed {
                return Ok(Err(Refused::Finalised));
            }
            // Rows of tables are cheaper than nodes with their metadata.
            let piece_rows = if format == ImportFormat::Tables { 10 * piece_rows } else { piece_rows };
            let bulk = Bulk::new(Runner::Worker, piece_rows);
            let new = NewBatch {
                id: Uuid::now_v7().to_string(),
                import: import.number,
                ordinal: numbers.batch,
                storage_url: later.url().map(str::to_owned),
                idempotency_key: target.key,
                content_hash: Some(content_hash),
                status: ImportStatus::Created,
                reason: None,
                received: false,
                records: 0,
                counts: ResultCounts::default(),
                position: (0, 0),
                lease: None,
                bulk: (format != ImportFormat::Records).then_some(bulk),
            };
            let number = imports::insert_batch(session, &new, now)?;
            if let Later::Ids(ids) = &later {
                imports::keep_input(session, number, ids)?;
            }
            Ok(Ok((imports::batch_by_number(session, number)?, false)))
        });
        let (batch, known) = self.soon(made).await??;
        if known {
            return self.same(batch, &hash, None).await;
        }
        self.wake();
        self.ended(batch.number, None).await
    }

    /// Fetches batches until `stop` says so.
    pub(super) async fn fetch_batches(&self, mut stop: watch::Receiver<bool>) {
        if self.sources.is_none() {
            return;
        }
        let mut running = JoinSet::new();
        while !*stop.borrow() {
            let free = running.len() < AT_ONCE;
            if free {
                match self.claim_fetch().await {
                    Ok(Some(batch)) => {
                        let span = spans::fetch(batch.import, batch.number);
                        let (imports, stop) = (self.clone(), stop.clone());
                        running.spawn(async move { imports.fetch_one(batch, stop).await }.instrument(span));
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => events::import_work_failed(&error.to_string()),
                }
            }
            tokio::select! {
                Some(done) = running.join_next(), if !running.is_empty() => tasks::outcome(done).unwrap_or_default(),
                () = self.fetch.notified(), if free => {}
                () = tokio::time::sleep(IDLE), if free => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
        // Each sees the stop at its next piece.
        while let Some(done) = running.join_next().await {
            tasks::outcome(done).unwrap_or_default();
        }
    }

    async fn claim_fetch(&self) -> Result<Option<Fetchable>, StoreError> {
        let now = now();
        if !self.store.read(move |session| imports::any_fetchable(session, now)).await? {
            return Ok(None);
        }
        let (owner, until) = (self.owner.clone(), self.lease_until(now));
        self.store.write(FETCH, move |session| imports::claim_fetch(session, &owner, until, now)).await
    }

    async fn fetch_one(&self, batch: Fetchable, stop: watch::Receiver<bool>) {
        let number = batch.number;
        let (attempts, owner, now) = (batch.attempts, self.owner.clone(), now());
        let done = match self.fetch_lines(&batch, stop).await {
            Ok(()) | Err(Broken::Lost) => Ok(()),
            Err(Broken::Stopped) => {
                self.store
                    .write(FETCH, move |session| {
                        imports::postpone_fetch(session, number, &owner, now, attempts.saturating_sub(1), now).map(drop)
                    })
                    .await
            }
            // The claim lapses, and the fetch goes on where it was.
            Err(Broken::Store(error)) => Err(error),
            Err(Broken::Place(error)) if error.severity() == Severity::Transient && attempts < self.limits.attempts => {
                events::import_fetch_retried(attempts, &error.to_string());
                let not_before = now + backoff::jittered(attempts);
                self.store
                    .write(FETCH, move |session| {
                        imports::postpone_fetch(session, number, &owner, not_before, attempts, now).map(drop)
                    })
                    .await
            }
            Err(Broken::Place(error)) => self.end_fetch(number, error.to_string()).await,
            Err(Broken::TooMany) => {
                self.end_fetch(number, format!("more than {MOST_RECORDS} records: a batch holds no more")).await
            }
        };
        if let Err(error) = done {
            events::import_work_failed(&error.to_string());
        }
    }

    /// No more of it comes; what is here is brought in.
    async fn end_fetch(&self, number: imports::Number, reason: String) -> Result<(), StoreError> {
        events::import_fetch_failed(&reason);
        let (owner, now) = (self.owner.clone(), now());
        self.store
            .write(FETCH, move |session| {
                if imports::end_fetch(session, number, &owner, &reason, now)? {
                    settle_batch(session, number, now)?;
                }
                Ok(())
            })
            .await?;
        self.wake();
        Ok(())
    }

    async fn fetch_lines(&self, batch: &Fetchable, stop: watch::Receiver<bool>) -> Result<(), Broken> {
        let Some(sources) = &self.sources else { return Err(Broken::Stopped) };
        let url = ObjectUrl::parse(&batch.url)?;
        let position = Position { line: batch.lines + 1, offset: batch.bytes };
        let from = StartAt { position, tag: batch.tag.as_deref() };
        let opening = sources.lines(&url, from, self.limits.record_bytes);
        let mut lines = self.holding(batch, opening).await??;
        let mut done = Progress { records: batch.records, bytes: batch.bytes, lines: batch.lines, tag: None };
        done.tag = lines.tag().map(str::to_owned);
        loop {
            if *stop.borrow() {
                return Err(Broken::Stopped);
            }
            let last = self.fetch_piece(batch, &mut lines, &mut done).await?;
            self.wake();
            if last {
                return Ok(());
            }
        }
    }

    /// Stores the next lines; whether they were the last.
    async fn fetch_piece(
        &self,
        batch: &Fetchable,
        lines: &mut ObjectLines,
        done: &mut Progress,
    ) -> Result<bool, Broken> {
        let longest = self.limits.record_bytes;
        let (mut results, mut size): (Vec<NewResult>, usize) = (Vec::new(), 0);
        let last = loop {
            let frame = self.holding(batch, lines.next()).await??;
            let Some(frame) = frame else { break true };
            if let Some(item) = Item::of_line(frame, done.records + 1) {
                done.records += 1;
                size += item.size();
                results.push(item.result(longest));
                if results.len() >= PIECE.0 || size >= PIECE.1 {
                    break false;
                }
            }
        };
        if done.records > MOST_RECORDS {
            return Err(Broken::TooMany);
        }
        let at = lines.position();
        (done.bytes, done.lines) = (at.offset, at.line - 1);
        let (number, import) = (batch.number, batch.import);
        let (owner, done, now) = (self.owner.clone(), done.clone(), now());
        let until = self.lease_until(now);
        let stored = self.store.write(FETCH, move |session| {
            if !imports::advance(session, number, &owner, &done, until, now)? {
                return Ok(false);
            }
            let batch = imports::batch_by_number(session, number)?;
            begin(session, import, Some(&batch), now)?;
            imports::insert_results(session, number, &results, now)?;
            if last {
                let hash = batch.batch.content_hash.as_deref();
                imports::received(session, number, &owner, hash, now)?;
                settle_batch(session, number, now)?;
            }
            Ok(true)
        });
        if stored.await? { Ok(last) } else { Err(Broken::Lost) }
    }

    /// Waits for the place while the batch stays ours.
    async fn holding<T>(&self, batch: &Fetchable, wait: impl Future<Output = T>) -> Result<T, Broken> {
        tokio::pin!(wait);
        loop {
            let turn = (self.limits.lease / 3).max(Duration::from_millis(10));
            if let Ok(done) = tokio::time::timeout(turn, &mut wait).await {
                return Ok(done);
            }
            let (number, owner, until) = (batch.number, self.owner.clone(), self.lease_until(now()));
            let held = self.store.write(FETCH, move |session| imports::hold_batch(session, number, &owner, until));
            if !held.await? {
                return Err(Broken::Lost);
            }
        }
    }
}
