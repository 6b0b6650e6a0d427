//! An open backend store: jobs go in, each one transaction, and come back when they are durable.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;

use super::postgres::{Access, Pool, Server};
use super::sql::{Engine, Session, SqlError, values};
use super::sqlite::{CrashPoints, Database, Options, Schema};
use super::{StoreError, StoreErrorKind, schema};
use crate::error::Party;

const CREATED: CrashPoints =
    CrashPoints { before: "catalogue.open.before_commit", after: "catalogue.open.after_commit" };

static SCHEMA: Schema = Schema { migrations: schema::SQLITE };

static SERVER_SCHEMA: Schema = Schema { migrations: schema::POSTGRES };

const OPTIONS: Options =
    Options { schema: &SCHEMA, party: Party::Backend, durable: true, max_pages: None, page_kib: 4 };

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// The embedded file.
    File(PathBuf),
    /// A PostgreSQL server.
    Server(Server),
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

/// The backend's tables on one of the two engines.
#[derive(Debug)]
pub struct Store {
    inner: Inner,
    id: String,
}

#[derive(Debug)]
enum Inner {
    Sqlite {
        writer: Database,
        /// Connections of their own, so that questions never wait for the disk behind changes; none = the writer answers.
        readers: Vec<Database>,
        next: AtomicUsize,
    },
    Postgres(Pool),
}

impl Store {
    /// Opens (or creates) what is there and brings its tables up to date. `readers`: how many questions an embedded
    /// file answers beside its one writer.
    pub async fn open(location: &Location, readers: usize) -> Result<Self, StoreError> {
        match location {
            Location::File(path) => Self::open_file(path, readers, None).await,
            Location::Server(server) => Self::open_server(server).await,
        }
    }

    /// Opens what is there without changing a byte; `None` if there is no catalogue.
    pub async fn open_read_only(location: &Location) -> Result<Option<Self>, StoreError> {
        match location {
            Location::File(path) => Self::open_file_read_only(path).await,
            Location::Server(server) => {
                let pool = Pool::start(server, Access::Read)?;
                if !pool.prepare(&SERVER_SCHEMA).await? {
                    return Ok(None);
                }
                let id = pool.submit(None, stored_id).await?;
                Ok(id.map(|id| Self { inner: Inner::Postgres(pool), id }))
            }
        }
    }

    async fn open_server(server: &Server) -> Result<Self, StoreError> {
        let pool = Pool::start(server, Access::Write)?;
        pool.prepare(&SERVER_SCHEMA).await?;
        let id = match pool.submit(None, stored_id).await? {
            Some(id) => id,
            None => pool.submit(Some(CREATED), make_id).await?,
        };
        Ok(Self { inner: Inner::Postgres(pool), id })
    }

    /// Opens or creates a file that may not grow beyond `max_pages` of 4 KiB.
    pub async fn open_file(path: &Path, readers: usize, max_pages: Option<u32>) -> Result<Self, StoreError> {
        let options = Options { max_pages, ..OPTIONS };
        let writer = Database::open(path, &options)?;
        let id = match writer.submit(None, |connection| stored_id(&Session::Sqlite(connection))).await? {
            Some(id) => id,
            None => writer.submit(Some(CREATED), |connection| make_id(&Session::Sqlite(connection))).await?,
        };
        let readers = (0..readers).map(|_| Database::open(path, &options)).collect::<Result<_, _>>()?;
        Ok(Self { inner: Inner::Sqlite { writer, readers, next: AtomicUsize::new(0) }, id })
    }

    /// Opens the file without changing a byte; `None` if there is no catalogue there.
    pub async fn open_file_read_only(path: &Path) -> Result<Option<Self>, StoreError> {
        let Some(writer) = Database::open_read_only(path, &OPTIONS)? else { return Ok(None) };
        let id = writer.submit(None, |connection| stored_id(&Session::Sqlite(connection))).await?;
        // Without an id the creation was interrupted: nothing is in it yet.
        Ok(id.map(|id| Self { inner: Inner::Sqlite { writer, readers: Vec::new(), next: AtomicUsize::new(0) }, id }))
    }

    /// The identity of this store, made when it was created.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Which engine it is on.
    pub fn engine(&self) -> Engine {
        match self.inner {
            Inner::Sqlite { .. } => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Connections to a server; none = an embedded file.
    pub fn connections(&self) -> Option<usize> {
        match &self.inner {
            Inner::Sqlite { .. } => None,
            Inner::Postgres(pool) => Some(pool.connections()),
        }
    }

    /// Runs a change in a transaction of its own. `Ok` means committed; an error means that nothing of it stands. Of a
    /// caller who gives up before its turn, nothing is done. The job runs on the engine's thread: it may take its time, but does nothing but ask and change the store.
    pub async fn write<T, F>(&self, points: CrashPoints, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        match &self.inner {
            Inner::Sqlite { writer, .. } => {
                writer.submit_if_wanted(points, move |connection| job(&Session::Sqlite(connection))).await
            }
            Inner::Postgres(pool) => pool.submit(Some(points), job).await,
        }
    }

    /// Like [`Store::write`] for a change of very many rows: memory does not grow with them, and no other change shares
    /// its transaction.
    pub async fn write_alone<T, F>(&self, points: CrashPoints, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        match &self.inner {
            Inner::Sqlite { writer, .. } => {
                writer.submit_alone(points, move |connection| job(&Session::Sqlite(connection))).await
            }
            Inner::Postgres(pool) => pool.submit(Some(points), job).await,
        }
    }

    /// Runs a question. It sees every change that was answered before it was asked, and one moment of the store.
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        match &self.inner {
            Inner::Sqlite { writer, readers, next } => {
                let turn = next.fetch_add(1, Ordering::Relaxed).checked_rem(readers.len());
                let database = turn.and_then(|turn| readers.get(turn)).unwrap_or(writer);
                database.submit(None, move |connection| job(&Session::Sqlite(connection))).await
            }
            Inner::Postgres(pool) => pool.submit(None, job).await,
        }
    }

    /// An error about this store.
    pub fn error(&self, kind: StoreErrorKind) -> StoreError {
        match &self.inner {
            Inner::Sqlite { writer, .. } => StoreError::new(writer.path(), Party::Backend, kind),
            Inner::Postgres(pool) => pool.error(kind),
        }
    }

    /// Does the store answer at all?
    pub async fn ping(&self) -> Result<(), StoreError> {
        // A statement that reads the file, so that a lost disk is noticed.
        self.read(|session| session.exists("SELECT 1 FROM source LIMIT 1", &[]).map(drop)).await
    }
}

fn stored_id(session: &Session<'_>) -> Result<Option<String>, SqlError> {
    session.first("SELECT value FROM meta WHERE key = 'store_id'", &[], |row| row.get(0))
}

fn make_id(session: &Session<'_>) -> Result<String, SqlError> {
    // Two processes may create at once: the first id stands for both.
    session.execute(
        "INSERT INTO meta (key, value) VALUES ('store_id', ?1) ON CONFLICT DO NOTHING",
        values![&Uuid::now_v7().to_string()],
    )?;
    session.one("SELECT value FROM meta WHERE key = 'store_id'", &[], |row| row.get(0))
}
