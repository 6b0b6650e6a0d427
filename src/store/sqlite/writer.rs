//! The thread that owns the connection: takes queued jobs in groups, one transaction for a group, a savepoint for a job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::Place;
use crate::store::error::StoreError;
use crate::store::sql::SqlError;

/// Jobs in one transaction at most: bounds how long the first of them waits.
const GROUP: usize = 64;

/// Names of the places around a job's commit where tests stop the process.
#[derive(Debug, Clone, Copy)]
pub struct CrashPoints {
    /// Everything is written, nothing committed.
    pub before: &'static str,
    /// Committed, nobody told.
    pub after: &'static str,
}

/// One queued job; `points` only for changes.
pub(super) struct Job {
    pub(super) points: Option<CrashPoints>,
    /// It has its transaction to itself. A savepoint keeps every page that changes within it, in memory: too much for
    /// a change of millions of rows.
    pub(super) alone: bool,
    pub(super) task: Box<dyn Task>,
}

/// A job whose types are known only to its caller.
pub(super) trait Task: Send {
    /// Does the work; an error means that the caller's changes have to be undone.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Tells the caller; `failed` = the whole group was undone.
    fn finish(self: Box<Self>, failed: Option<StoreError>);
}

/// The work and who waits for it.
pub(super) struct Work<T, F> {
    job: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    /// It is not done for a caller who has gone away.
    if_wanted: bool,
    place: Arc<Place>,
}

impl<T, F> Work<T, F> {
    pub(super) fn new(
        job: F,
        reply: oneshot::Sender<Result<T, StoreError>>,
        if_wanted: bool,
        place: Arc<Place>,
    ) -> Self {
        Self { job: Some(job), result: None, reply, if_wanted, place }
    }
}

impl<T, E, F> Task for Work<T, F>
where
    T: Send,
    E: Into<SqlError>,
    F: FnOnce(&Connection) -> Result<T, E> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Some(job) = self.job.take() else { return Ok(()) };
        if self.if_wanted && self.reply.is_closed() {
            return Ok(());
        }
        // What panics is undone alone, and costs neither the thread nor the others of its group.
        let done = catch_unwind(AssertUnwindSafe(|| job(connection).map_err(Into::into)));
        let result = done.unwrap_or(Err(SqlError::Broke)).map_err(|error| self.place.job_error(&error));
        let verdict = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        verdict
    }

    fn finish(self: Box<Self>, failed: Option<StoreError>) {
        let answer = match (failed, self.result) {
            // A job's own error says more than that of the transaction.
            (_, Some(Err(error))) | (Some(error), _) => Err(error),
            (None, Some(result)) => result,
            (None, None) => Err(self.place.closed()),
        };
        // The caller may have gone away meanwhile (cancelled); the change stands all the same.
        let _ = self.reply.send(answer);
    }
}

/// Runs until every sender is gone.
pub(super) fn serve(connection: &Connection, mut queue: mpsc::Receiver<Job>, place: &Place) {
    let (mut group, mut held) = (Vec::with_capacity(GROUP), None);
    while let Some(first) = held.take().or_else(|| queue.blocking_recv()) {
        let alone = first.alone;
        group.push(first);
        while !alone
            && group.len() < GROUP
            && let Ok(next) = queue.try_recv()
        {
            if next.alone {
                held = Some(next);
                break;
            }
            group.push(next);
        }
        let failed = run(connection, &mut group).err().map(|error| match error {
            Undone::Job(error) => error,
            Undone::Transaction(error) => place.error(&error),
        });
        for job in group.drain(..) {
            job.task.finish(failed.clone());
        }
    }
}

/// Why a whole group was undone.
enum Undone {
    /// A job failed so badly that SQLite gave the transaction up.
    Job(StoreError),
    /// It could not begin or commit.
    Transaction(rusqlite::Error),
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Transaction(error)
    }
}

fn run(connection: &Connection, group: &mut [Job]) -> Result<(), Undone> {
    let writes = group.iter().any(|job| job.points.is_some());
    // A change takes the lock at once: a lock taken later could fail in the middle for no fault of the job.
    execute(connection, if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
    let done = run_jobs(connection, group).and_then(|()| {
        for points in group.iter().filter_map(|job| job.points) {
            reach(points.before);
        }
        execute(connection, "COMMIT").map_err(Undone::from)
    });
    if done.is_err() {
        if !connection.is_autocommit() {
            // Best effort: the caller gets the error that came first.
            let _ = execute(connection, "ROLLBACK");
        }
        return done;
    }
    for points in group.iter().filter_map(|job| job.points) {
        reach(points.after);
    }
    Ok(())
}

fn run_jobs(connection: &Connection, group: &mut [Job]) -> Result<(), Undone> {
    for job in group {
        if job.points.is_none() {
            // A question changes nothing, so its failure needs no undoing.
            let _ = job.task.run(connection);
            continue;
        }
        if job.alone {
            job.task.run(connection).map_err(Undone::Job)?;
            continue;
        }
        execute(connection, "SAVEPOINT job")?;
        match job.task.run(connection) {
            Ok(()) => execute(connection, "RELEASE job")?,
            // SQLite itself rolled everything back (full disk, I/O error): nobody's change stands.
            Err(error) if connection.is_autocommit() => return Err(Undone::Job(error)),
            Err(_) => {
                execute(connection, "ROLLBACK TO job")?;
                execute(connection, "RELEASE job")?;
            }
        }
    }
    Ok(())
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

/// Where tests stop the process.
pub(in crate::store) fn reach(point: &str) {
    fail::fail_point!(point);
    // Without crash points nothing above uses the name.
    let _ = point;
}
