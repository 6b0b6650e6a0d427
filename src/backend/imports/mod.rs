//! Imports: a job, its batches, the outcome of every record.
//!
//! A batch is stored as it arrives and worked on when it is here (`receive`); a small one whose sender waits is
//! worked on right away, in one transaction. What is stored and not decided is the queue of the workers (`work`),
//! which claim records for a while, so that a crash of one loses nothing. When nothing of a batch is open, it ends;
//! when nothing of a finalised import is open, that ends.

mod apply;
pub mod backoff;
mod bulk;
mod cancel;
mod create;
mod derive;
mod error;
mod fetch;
mod item;
mod read;
mod receive;
mod record;
mod retry;
mod settle;
mod small;
mod stage;
mod sweep;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::config::BulkSettings;
use crate::store::objects::Sources;
use crate::store::sql::Engine;
use crate::store::{Store, StoreError, StoreErrorKind};

pub use bulk::{BulkBegin, BulkBegun, BulkFile, BulkOutcome, BulkWork, FileEnd, Told, piece_rows};
pub use create::{Create, Created};
pub(super) use derive::bulk_end;
pub use error::{ImportsError, Refused};
pub use item::{Item, array_items};
pub use read::{BatchView, ImportView, Summary};
pub use receive::Received;
pub use record::depth;

/// What bounds imports.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one record.
    pub record_bytes: usize,
    /// Bytes of one batch that comes with its request.
    pub batch_bytes: u64,
    /// Records that are worked on at once; 0 = what suits the engine.
    pub workers: usize,
    /// Attempts of a record before it fails.
    pub attempts: u32,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long a body may pause.
    pub idle: Duration,
    /// Files of rows.
    pub bulk: BulkSettings,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 16 << 20,
            batch_bytes: 1 << 30,
            workers: 0,
            attempts: 8,
            lease: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            bulk: BulkSettings::default(),
        }
    }
}

/// The use cases of imports. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Imports(Arc<Inner>);

/// See [`Imports`].
#[derive(Debug)]
pub struct Inner {
    store: Arc<Store>,
    limits: Limits,
    sources: Option<Sources>,
    /// Whose claims are ours.
    owner: String,
    /// There may be something to do.
    work: Notify,
    /// There may be something to fetch.
    fetch: Notify,
    /// There may be a file for a worker.
    bulk: Notify,
    /// There may be something to tell; the number only changes.
    news: watch::Sender<u64>,
}

impl std::ops::Deref for Imports {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Imports {
    /// A change that somebody waits for. A whole file may be on its way into the embedded file just now; whoever waits
    /// is told to come back instead of being kept for as long as that takes.
    async fn soon<T>(&self, change: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.limits().idle, change).await.unwrap_or_else(|_| Err(self.store.error(self.late())))
    }

    /// What is wrong with a change whose turn did not come.
    fn late(&self) -> StoreErrorKind {
        StoreErrorKind::Conflict(format!("its turn did not come for {} s", self.limits().idle.as_secs_f64()))
    }

    /// Imports into this store. Without `sources` nothing is fetched.
    pub fn new(store: Arc<Store>, limits: Limits, sources: Option<Sources>) -> Self {
        let owner = Uuid::now_v7().to_string();
        Self(Arc::new(Inner {
            store,
            limits,
            sources,
            owner,
            work: Notify::new(),
            fetch: Notify::new(),
            bulk: Notify::new(),
            news: watch::Sender::new(0),
        }))
    }

    /// Where they are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What bounds them.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes whenever there may be new events.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Tells the workers and the watchers that something has changed.
    pub fn wake(&self) {
        self.work.notify_one();
        self.fetch.notify_one();
        self.bulk.notify_one();
        self.tell();
    }

    /// Tells the workers of bulk files that there may be one: somebody has made it by a transaction of their own.
    pub fn wake_bulk(&self) {
        self.wake();
    }

    /// Tells the watchers.
    fn tell(&self) {
        self.news.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Records that are worked on at once. The embedded engine makes one commit of many; a server works side by side.
    fn parallel(&self) -> usize {
        match (self.limits.workers, self.store.engine()) {
            (0, Engine::Sqlite) => 64,
            (0, Engine::Postgres) => 8,
            (workers, _) => workers,
        }
    }

    /// Rows of a piece of a bulk import.
    pub fn piece_rows(&self) -> u64 {
        self.limits.bulk.rows.unwrap_or_else(|| bulk::piece_rows(self.store.engine()))
    }

    /// Transactions of one file that a worker has on their way at once: beside them others want to ask and change.
    pub fn bulk_in_flight(&self) -> usize {
        let most = match self.store.connections() {
            // One writer: it is never idle with two.
            None => 2,
            Some(connections) => connections.saturating_sub(2).max(1),
        };
        self.limits.bulk.in_flight.clamp(1, most)
    }

    /// When a claim of now lapses.
    fn lease_until(&self, now: i64) -> i64 {
        now.saturating_add(i64::try_from(self.limits.lease.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The hash that tells one body from another.
pub fn hash(body: &[u8]) -> String {
    blake3::hash(body).to_hex().to_string()
}

/// Milliseconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
