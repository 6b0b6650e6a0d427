//! The thread that owns a connection: connects, begins, runs a job, commits; connects anew when the server was lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::connection::Connection;
use super::failure::Failure;
use super::transaction::Transaction;
use super::{Access, Shared, migrate};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::sql::{Session, SqlError};
use crate::store::sqlite::{CrashPoints, Schema, reach};

const CHANGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const QUESTION: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The first pause before a lost server is asked again; doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What one thread works with.
#[derive(Debug)]
pub(super) struct Worker {
    runtime: Runtime,
    shared: Arc<Shared>,
    connection: Option<Connection>,
}

impl Worker {
    pub(super) fn new(runtime: Runtime, shared: Arc<Shared>) -> Self {
        Self { runtime, shared, connection: None }
    }

    /// Ends the connection, if there is one.
    pub(super) fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close());
        }
    }

    /// See [`super::Pool::prepare`]. A server that is not there is not waited for: the address may be wrong.
    pub(super) fn prepare(&mut self, schema: &Schema) -> Result<bool, StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut connection = self.patiently(Failure::is_starting, Self::connect)?;
        let prepared = match shared.access {
            Access::Write => self.runtime.block_on(migrate::run(&mut connection.client, schema)).map(|()| true),
            Access::Read => self.runtime.block_on(migrate::check(&connection.client, schema)).map(|found| found > 0),
        };
        // Whatever it was told or holds goes with it.
        self.runtime.block_on(connection.close());
        prepared.map_err(|problem| shared.error(problem.kind()))
    }

    /// Runs a job in a transaction.
    pub(super) fn transact<T>(
        &mut self,
        points: Option<CrashPoints>,
        job: impl FnOnce(&Session<'_>) -> Result<T, SqlError>,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let begin = if points.is_some() { CHANGE } else { QUESTION };
        let connection = self.patiently(is_unavailable, |worker| worker.begin(begin))?;
        // What panics must not leave its transaction open: others would wait for its locks.
        let finishing = AssertUnwindSafe(|| finish(&self.runtime, &connection, points, job));
        let (result, spoilt) = catch_unwind(finishing).unwrap_or((Err(SqlError::Broke), true));
        if spoilt {
            self.runtime.block_on(connection.close());
        } else {
            self.connection = Some(connection);
        }
        result.map_err(|error| shared.sql_error(&error))
    }

    /// A connection in which a transaction has begun.
    fn begin(&mut self, sql: &str) -> Result<Connection, Failure> {
        // One that was idle may have been lost since; whether it was shows now.
        if let Some(connection) = self.connection.take() {
            match self.runtime.block_on(limited(&connection, sql)) {
                Ok(()) => return Ok(connection),
                Err(failure) if !failure.loses_connection() => return Err(failure),
                Err(_) => self.runtime.block_on(connection.close()),
            }
        }
        let connection = self.connect()?;
        self.runtime.block_on(limited(&connection, sql)).map(|()| connection)
    }

    fn connect(&mut self) -> Result<Connection, Failure> {
        self.runtime.block_on(Connection::open(&self.shared.target, self.shared.access))
    }

    /// Tries again, with longer and longer pauses, for as long as a job may wait.
    fn patiently<T>(
        &mut self,
        passes: impl Fn(&Failure) -> bool,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let end = Instant::now() + self.shared.target.wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match attempt(self) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let closing = self.shared.closing.load(Ordering::Relaxed);
            if closing || !passes(&failure) || Instant::now() + pause > end {
                return Err(self.shared.error(failure.kind()));
            }
            std::thread::sleep(pause);
            pause = LAST_PAUSE.min(pause * 2);
        }
    }
}

fn is_unavailable(failure: &Failure) -> bool {
    matches!(failure.kind(), StoreErrorKind::Unavailable(_))
}

/// A statement without an answer, within the connection's limit.
async fn limited(connection: &Connection, sql: &str) -> Result<(), Failure> {
    tokio::time::timeout(connection.limit, connection.client.batch_execute(sql))
        .await
        .map_err(|_| Failure::Silent(connection.limit))?
        .map_err(Failure::from)
}

/// Runs the job in the transaction that has begun, and ends it. Also says whether the connection is of no use any more.
fn finish<T>(
    runtime: &Runtime,
    connection: &Connection,
    points: Option<CrashPoints>,
    job: impl FnOnce(&Session<'_>) -> Result<T, SqlError>,
) -> (Result<T, SqlError>, bool) {
    let transaction = Transaction::new(runtime, connection, points.is_none());
    let mut result = job(&Session::Postgres(&transaction));
    if result.is_ok() && transaction.failed() {
        // The server would answer COMMIT with a rollback and call that a success.
        result = Err(Failure::Swallowed.into());
    }
    let value = match result {
        Ok(value) => value,
        Err(error) => {
            let kept = !transaction.lost() && runtime.block_on(limited(connection, "ROLLBACK")).is_ok();
            return (Err(error), !kept || transaction.spoilt());
        }
    };
    if let Some(points) = points {
        reach(points.before);
    }
    if let Err(failure) = runtime.block_on(limited(connection, "COMMIT")) {
        // Whether it was committed is not known when the answer was lost: the caller tries again, and finds it done.
        return (Err(failure.into()), true);
    }
    if let Some(points) = points {
        reach(points.after);
    }
    (Ok(value), false)
}
