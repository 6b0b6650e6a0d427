//! The canonical tables in one SQLite file.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::{CatalogueStore, Changes, Counts, StoredTitle, TitleKey, Updated, dump, read, write};
use crate::error::Party;
use crate::store::StoreError;
use crate::store::sqlite::{CrashPoints, Database, Options, Schema, unsigned};

static SCHEMA: Schema =
    Schema { migrations: &[("V1__catalogue", include_str!("../sqlite/migrations/catalogue/V1__catalogue.sql"))] };

const OPTIONS: Options =
    Options { schema: &SCHEMA, party: Party::Backend, durable: true, max_pages: None, page_kib: 4 };

const POINTS: CrashPoints = CrashPoints { before: "catalogue.before_commit", after: "catalogue.after_commit" };
const CREATED: CrashPoints =
    CrashPoints { before: "catalogue.open.before_commit", after: "catalogue.open.after_commit" };

/// A catalogue in an SQLite file.
#[derive(Debug)]
pub struct SqliteCatalogue {
    pub(super) database: Database,
    store_id: String,
}

impl SqliteCatalogue {
    /// Opens or creates the file.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_limited(path, None).await
    }

    /// Opens or creates a file that may not grow beyond `max_pages` of 4 KiB.
    pub async fn open_limited(path: &Path, max_pages: Option<u32>) -> Result<Self, StoreError> {
        let database = Database::open(path, &Options { max_pages, ..OPTIONS })?;
        let store_id = match database.read(stored_id).await? {
            Some(id) => id,
            None => database.write(CREATED, make_id).await?,
        };
        Ok(Self { database, store_id })
    }

    /// Opens the file without changing a byte; `None` if there is no catalogue there.
    pub async fn open_read_only(path: &Path) -> Result<Option<Self>, StoreError> {
        let Some(database) = Database::open_read_only(path, &OPTIONS)? else { return Ok(None) };
        // Without an id the creation was interrupted: nothing is in it yet.
        Ok(database.read(stored_id).await?.map(|store_id| Self { database, store_id }))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }
}

fn stored_id(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE key = 'store_id'", [], |row| row.get(0)).optional()
}

fn make_id(connection: &Connection) -> rusqlite::Result<String> {
    // Two processes may create at once: the first id stands for both.
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('store_id', ?1) ON CONFLICT DO NOTHING",
        [Uuid::now_v7().to_string()],
    )?;
    connection.query_row("SELECT value FROM meta WHERE key = 'store_id'", [], |row| row.get(0))
}

impl CatalogueStore for SqliteCatalogue {
    fn store_id(&self) -> &str {
        &self.store_id
    }

    async fn update<T, F>(&self, key: TitleKey, fingerprint: String, decide: F) -> Result<Updated<T>, StoreError>
    where
        T: Send + 'static,
        F: Fn(Option<&StoredTitle>) -> (Option<Changes>, T) + Send + 'static,
    {
        let now = jiff::Timestamp::now().as_millisecond();
        self.database
            .write(POINTS, move |connection| {
                let stored = match read::source_row(connection, &key.source_name)? {
                    None => None,
                    Some(source) if read::has_fingerprint(connection, source, &key.source_id, &fingerprint)? => {
                        return Ok(Updated::SameFingerprint);
                    }
                    Some(source) => read::title(connection, source, &key.source_id)?,
                };
                let (changes, told) = decide(stored.as_ref());
                if let Some(changes) = changes {
                    write::apply(connection, &key, &changes, now)?;
                }
                Ok(Updated::Decided(told))
            })
            .await
    }

    async fn title(&self, key: TitleKey) -> Result<Option<StoredTitle>, StoreError> {
        self.database
            .read(move |connection| match read::source_row(connection, &key.source_name)? {
                None => Ok(None),
                Some(source) => read::title(connection, source, &key.source_id),
            })
            .await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.database
            .read(|connection| {
                connection.query_row(
                    "SELECT (SELECT count(*) FROM series), (SELECT count(*) FROM episode), \
                     (SELECT count(*) FROM release), (SELECT count(*) FROM video WHERE is_active = 1), \
                     (SELECT count(*) FROM video WHERE is_active = 0), (SELECT count(*) FROM character)",
                    [],
                    |row| {
                        Ok(Counts {
                            series: unsigned(row, 0)?,
                            episodes: unsigned(row, 1)?,
                            releases: unsigned(row, 2)?,
                            videos: unsigned(row, 3)?,
                            inactive_videos: unsigned(row, 4)?,
                            characters: unsigned(row, 5)?,
                        })
                    },
                )
            })
            .await
    }

    async fn dump(&self) -> Result<String, StoreError> {
        self.database.read(dump::dump).await
    }
}
