//! A PostgreSQL database behind a few threads.
//!
//! Each thread has one connection and a small runtime of its own, so that jobs are plain closures here as they are on
//! the embedded file. A job waits for a free thread, but not for ever; a lost connection is made anew before the next
//! job. Changes run in `READ COMMITTED` (whoever decides on what it read has taken a lock first), questions see one
//! moment of the database.

mod answer;
mod connection;
mod copying;
mod failure;
mod feeding;
mod migrate;
mod parameter;
mod sets;
mod target;
mod tls;
mod transaction;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Semaphore, oneshot};

use super::error::{StoreError, StoreErrorKind, StorePlace};
use super::sql::{Session, SqlError};
use super::sqlite::{CrashPoints, Schema};
use crate::error::Party;
use worker::Worker;

pub use answer::Answer;
pub use copying::CopyType;
pub use failure::Failure;
pub use feeding::CopyIn;
pub use sets::Set;
pub use transaction::Transaction;

pub(super) use target::Target;

/// Which server, and how patient with it.
#[derive(Debug, Clone)]
pub struct Server {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: SecretString,
    /// Connections, each with a thread: as many jobs run at once.
    pub connections: usize,
    /// One attempt to connect.
    pub connect_timeout: Duration,
    /// One statement.
    pub statement_timeout: Duration,
    /// How long a job waits for a free connection, and for a lost server to come back.
    pub wait: Duration,
}

impl Server {
    /// With the defaults of the settings.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            connections: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            wait: Duration::from_secs(10),
        }
    }
}

/// May the database be changed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its tables are brought up to date, too.
    Write,
    /// Not a byte of it.
    Read,
}

/// What every thread needs to know.
#[derive(Debug)]
pub(super) struct Shared {
    target: Target,
    access: Access,
    /// Nobody waits for jobs any more: no use in being patient.
    closing: AtomicBool,
}

impl Shared {
    fn error(&self, kind: StoreErrorKind) -> StoreError {
        StoreError::new(StorePlace::Server(self.target.shown.clone()), Party::Backend, kind)
    }

    fn sql_error(&self, error: &SqlError) -> StoreError {
        StoreError::from_sql(StorePlace::Server(self.target.shown.clone()), Party::Backend, error)
    }
}

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// An open database. Dropping it finishes what was begun and says goodbye to the server.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// One for each thread: whoever holds one is served at once.
    free: Arc<Semaphore>,
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads; they connect when there is something to do.
    pub(super) fn start(server: &Server, access: Access) -> Result<Self, StoreError> {
        let target = Target::new(server)?;
        let connections = server.connections.max(1);
        let shared = Arc::new(Shared { target, access, closing: AtomicBool::new(false) });
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(connections);
        for _ in 0..connections {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let spawned = runtime.and_then(|runtime| {
                let (shared, queue) = (Arc::clone(&shared), Arc::clone(&queue));
                std::thread::Builder::new()
                    .name("store".to_owned())
                    .spawn(move || serve(Worker::new(runtime, shared), &queue))
            });
            threads.push(spawned.map_err(|error| shared.error(StoreErrorKind::Io(error.to_string())))?);
        }
        Ok(Self { shared, free: Arc::new(Semaphore::new(connections)), jobs: Some(jobs), threads })
    }

    /// Brings the tables up to date, or (without the right to change them) looks whether they are; `false` = there are
    /// none yet.
    pub(super) async fn prepare(&self, schema: &'static Schema) -> Result<bool, StoreError> {
        self.hand_over(move |worker| worker.prepare(schema)).await
    }

    /// Runs a job in a transaction: a change when there are `points`, else a question.
    pub(super) async fn submit<T, F>(&self, points: Option<CrashPoints>, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        self.hand_over(move |worker| worker.transact(points, job)).await
    }

    /// How many there are.
    pub(super) fn connections(&self) -> usize {
        self.threads.len()
    }

    /// An error about this database.
    pub(super) fn error(&self, kind: StoreErrorKind) -> StoreError {
        self.shared.error(kind)
    }

    async fn hand_over<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Worker) -> Result<T, StoreError> + Send + 'static,
    {
        let wait = self.shared.target.wait;
        let closed = || self.shared.error(StoreErrorKind::Closed);
        let free = tokio::time::timeout(wait, Arc::clone(&self.free).acquire_owned()).await;
        let connections = self.threads.len();
        let permit = free
            .map_err(|_| self.shared.error(StoreErrorKind::Exhausted { connections, waited: wait }))?
            .map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            let result = work(worker);
            // The thread is as good as free, and whoever hears the answer may rely on it.
            drop(permit);
            // The caller may have gone away (cancelled); a change stands all the same.
            let _ = reply.send(result);
        });
        self.jobs.as_ref().ok_or_else(closed)?.send(job).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            // A thread catches what its jobs throw; there is nothing left to report to.
            let _ = thread.join();
        }
    }
}

/// Runs until the pool is dropped.
fn serve(mut worker: Worker, queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One idle thread waits for the next job, the others for this lock.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { break };
        // Whatever panics there must not cost a connection for good. Its caller hears that the answer will not come.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut worker))).is_err() {
            worker.hang_up();
        }
    }
    worker.hang_up();
}
