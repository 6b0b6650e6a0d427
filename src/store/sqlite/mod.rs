//! One SQLite file behind one thread.
//!
//! The thread owns the only connection. It takes what is queued, runs it in one transaction with a savepoint for
//! each job, commits, and only then answers: an answer means durable, and jobs that arrive together share one fsync.

mod lock;
mod migrate;
mod read_only;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::error::{StoreError, StoreErrorKind};
use super::sql::SqlError;
use crate::error::Party;
use writer::{Job, Work};

pub use migrate::Schema;
pub use writer::CrashPoints;
pub(super) use writer::reach;

/// Jobs that may wait; more makes the senders wait.
const QUEUE: usize = 256;

/// How a database is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Its tables.
    pub schema: &'static Schema,
    /// Who has to act when it fails.
    pub party: Party,
    /// Wait for the disk at every commit. Without it a power cut (not a crash of the process) may lose the last
    /// commits, never more.
    pub durable: bool,
    /// The file may not grow beyond this many pages of 4 KiB; beyond it writes fail as on a full disk.
    pub max_pages: Option<u32>,
    /// KiB of a page in a new file: rows that are larger than a page are slow to write and to read.
    pub page_kib: u32,
}

/// An open database. Dropping it finishes what is queued, folds the write-ahead log back and closes the file.
#[derive(Debug)]
pub struct Database {
    place: Arc<Place>,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// The private copy that a read-only opening works on, if it needed one.
    _copy: Option<TempDir>,
}

/// Which file, and whose: what every error says.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    party: Party,
}

impl Place {
    fn error(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::from_sqlite(&self.path, self.party, error)
    }

    fn job_error(&self, error: &SqlError) -> StoreError {
        StoreError::from_sql((&self.path).into(), self.party, error)
    }

    fn closed(&self) -> StoreError {
        StoreError::new(&self.path, self.party, StoreErrorKind::Closed)
    }
}

impl Database {
    /// Opens (or creates, readable by its owner and group only) the file and brings its tables up to date.
    pub fn open(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let place = Place { path: path.to_owned(), party: options.party };
        create_private(path).map_err(|error| StoreError::from_io(path, options.party, &error))?;
        // Two processes that start at once must not both make the tables.
        let _alone = lock::folder_of(path).map_err(|error| StoreError::from_io(path, options.party, &error))?;
        // One thread has the connection to itself, so SQLite need not lock around every call.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)
            .and_then(|connection| configure(&connection, options).map(|()| connection))
            .map_err(|error| place.error(&error))?;
        migrate::run(&mut connection, options.schema).map_err(|problem| problem.at(&place))?;
        Self::start(connection, place, None)
    }

    /// Opens the file without changing a byte of it or of its folder; `None` if there is no such file.
    /// What a crash left in the write-ahead log is seen, too. Every write fails.
    pub fn open_read_only(path: &Path, options: &Options) -> Result<Option<Self>, StoreError> {
        let place = Place { path: path.to_owned(), party: options.party };
        let Some((connection, copy)) = read_only::open(&place, options)? else { return Ok(None) };
        Self::start(connection, place, copy).map(Some)
    }

    fn start(connection: Connection, place: Place, copy: Option<TempDir>) -> Result<Self, StoreError> {
        connection.set_prepared_statement_cache_capacity(96);
        let place = Arc::new(place);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let at = Arc::clone(&place);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer::serve(&connection, queue, &at))
            .map_err(|error| StoreError::from_io(&place.path, place.party, &error))?;
        Ok(Self { place, jobs: Some(jobs), thread: Some(thread), _copy: copy })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Runs a change. When this returns `Ok` the change is committed; when the job fails, it alone is undone.
    pub async fn write<T, F>(&self, points: CrashPoints, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.submit(Some(points), job).await
    }

    /// Runs a question. It sees every change that was answered before it was asked.
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.submit(None, job).await
    }

    /// A change when there are `points`, else a question.
    pub(super) async fn submit<T, E, F>(&self, points: Option<CrashPoints>, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<SqlError> + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.queue(points, false, false, job).await
    }

    /// The same, which is not done if its caller has given up by its turn, and been told that nothing was done.
    pub(super) async fn submit_if_wanted<T, E, F>(&self, points: CrashPoints, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<SqlError> + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.queue(Some(points), false, true, job).await
    }

    /// A change in a transaction of its own, however large.
    pub(super) async fn submit_alone<T, E, F>(&self, points: CrashPoints, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<SqlError> + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.queue(Some(points), true, false, job).await
    }

    async fn queue<T, E, F>(
        &self,
        points: Option<CrashPoints>,
        alone: bool,
        if_wanted: bool,
        job: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<SqlError> + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Work::new(job, reply, if_wanted, Arc::clone(&self.place)));
        let jobs = self.jobs.as_ref().ok_or_else(|| self.place.closed())?;
        jobs.send(Job { points, alone, task }).await.map_err(|_| self.place.closed())?;
        answer.await.map_err(|_| self.place.closed())?
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panicked writer has already failed its callers; there is nothing left to report to.
            let _ = thread.join();
        }
    }
}

/// Settings of a writing connection. Memory stays bounded: 2 MiB of cached pages whatever the size of the file.
fn configure(connection: &Connection, options: &Options) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Heeded in a new file only, and only before its journal mode is set.
    connection.pragma_update(None, "page_size", options.page_kib * 1024)?;
    // The first statement that reads the file: a file that is no database fails here.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if options.durable { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 8 * 1024 * 1024)?;
    let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    // The log is folded back at 4 MiB, whatever the size of its pages.
    connection.pragma_update(None, "wal_autocheckpoint", 4 * 1024 * 1024 / page_size.max(512))?;
    if let Some(pages) = options.max_pages {
        let pages = i64::from(pages) * 4096 / i64::from(page_size.max(512));
        connection.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?;
    }
    Ok(())
}

/// SQLite would create the file readable by everybody; its `-wal` and `-shm` inherit the mode given here.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o640);
    open.open(path).map(drop)
}

/// An unsigned number of a row. SQLite's numbers are signed; a negative one here is damage.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
}

/// An unsigned number as a parameter.
pub(super) fn signed(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
