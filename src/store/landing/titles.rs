//! What is landed of single titles: materials, metadata, roles; and the ids a run still has to visit.

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::listing::{material, put_materials, put_rejected};
use super::{CollectPosition, LandedMaterial, LandedMetadata, LandedOrigin, Landing, RejectedMaterial, points};
use crate::model::{SeriesId, SkipReason};
use crate::store::StoreError;
use crate::store::sqlite::{CrashPoints, signed, unsigned};

const SEARCH: CrashPoints = points!("search");
const METADATA: CrashPoints = points!("metadata");
const ROLES: CrashPoints = points!("roles");
const REFERENCE: CrashPoints = points!("reference");
const PENDING: CrashPoints = points!("pending");

impl Landing {
    /// Titles with materials in ascending order after `after`, at most `limit`: pages through all of them.
    pub async fn series_ids(&self, after: Option<SeriesId>, limit: u32) -> Result<Vec<SeriesId>, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT DISTINCT series_id FROM material WHERE series_id > ?1 ORDER BY series_id LIMIT ?2",
                    )?
                    .query_map(params![signed(after.map_or(0, |id| id.0))?, limit], series_id)?
                    .collect()
            })
            .await
    }

    /// All materials of a title, in the source's order.
    pub async fn materials(&self, series: SeriesId) -> Result<Vec<LandedMaterial>, StoreError> {
        self.database.read(move |connection| materials(connection, series)).await
    }

    /// All materials of several titles, in the order asked for.
    pub async fn materials_of(&self, series: &[SeriesId]) -> Result<Vec<(SeriesId, Vec<LandedMaterial>)>, StoreError> {
        let series = series.to_vec();
        self.database
            .read(move |connection| series.into_iter().map(|id| Ok((id, materials(connection, id)?))).collect())
            .await
    }

    /// Replaces all materials of a title by what a search for it gave (none: the title is gone from the source).
    pub async fn put_search(&self, series: SeriesId, found: Vec<LandedMaterial>) -> Result<(), StoreError> {
        self.database
            .write(SEARCH, move |connection| {
                connection.prepare_cached("DELETE FROM material WHERE series_id = ?1")?.execute([signed(series.0)?])?;
                // They belong to the newest listing, so that an unfinished one keeps them when it finishes.
                let generation = connection
                    .prepare_cached("SELECT coalesce(max(generation), 0) FROM listing")?
                    .query_row([], |row| row.get(0))?;
                put_materials(connection, generation, 0, &found)
            })
            .await
    }

    /// Lands metadata of several titles in one transaction.
    pub async fn put_metadata(&self, rows: Vec<LandedMetadata>) -> Result<(), StoreError> {
        self.database
            .write(METADATA, move |connection| {
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO metadata (series_id, run_id, origin, reason, raw, fetched_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?;
                for row in &rows {
                    let (origin, reason) = match &row.origin {
                        LandedOrigin::GraphQl => ("graphql", None),
                        LandedOrigin::Rest => ("rest", None),
                        LandedOrigin::Absent(reason) => ("absent", Some(reason.as_str())),
                    };
                    let at = row.fetched_at.as_millisecond();
                    insert.execute(params![signed(row.series.0)?, row.run_id, origin, reason, &row.raw[..], at])?;
                }
                Ok(())
            })
            .await
    }

    /// The landed metadata of these titles, in the order asked for; titles without any are left out.
    pub async fn metadata(&self, series: &[SeriesId]) -> Result<Vec<LandedMetadata>, StoreError> {
        let series = series.to_vec();
        self.database
            .read(move |connection| {
                let mut found = Vec::with_capacity(series.len());
                for id in series {
                    found.extend(metadata(connection, id)?);
                }
                Ok(found)
            })
            .await
    }

    /// Lands the roles of a title.
    pub async fn put_roles(&self, run_id: &str, series: SeriesId, raw: Bytes) -> Result<(), StoreError> {
        let (run_id, now) = (run_id.to_owned(), jiff::Timestamp::now().as_millisecond());
        self.database
            .write(ROLES, move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO roles (series_id, run_id, raw, fetched_at) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![signed(series.0)?, run_id, &raw[..], now])
                    .map(drop)
            })
            .await
    }

    /// The landed roles of a title and the run that fetched them.
    pub async fn roles(&self, series: SeriesId) -> Result<Option<(String, Bytes)>, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT run_id, raw FROM roles WHERE series_id = ?1")?
                    .query_row([signed(series.0)?], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?.into())))
                    .optional()
            })
            .await
    }

    /// Lands a reference list (`translations`).
    pub async fn put_reference(&self, name: &'static str, raw: Bytes) -> Result<(), StoreError> {
        let now = jiff::Timestamp::now().as_millisecond();
        self.database
            .write(REFERENCE, move |connection| {
                connection
                    .prepare_cached("INSERT OR REPLACE INTO reference (name, raw, fetched_at) VALUES (?1, ?2, ?3)")?
                    .execute(params![name, &raw[..], now])
                    .map(drop)
            })
            .await
    }

    /// A landed reference list.
    pub async fn reference(&self, name: &'static str) -> Result<Option<Bytes>, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT raw FROM reference WHERE name = ?1")?
                    .query_row([name], |row| Ok(row.get::<_, Vec<u8>>(0)?.into()))
                    .optional()
            })
            .await
    }

    /// Adds titles that the run has to visit, keeps what could not be read, and moves the position, in one transaction.
    pub async fn commit_pending(
        &self,
        run_id: &str,
        series: Vec<SeriesId>,
        rejected: Vec<RejectedMaterial>,
        position: CollectPosition,
    ) -> Result<(), StoreError> {
        let run_id = run_id.to_owned();
        self.database
            .write(PENDING, move |connection| {
                let mut insert = connection
                    .prepare_cached("INSERT INTO pending (run_id, series_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
                for id in &series {
                    insert.execute(params![run_id, signed(id.0)?])?;
                }
                put_rejected(connection, &run_id, signed(position.page)?, &rejected)?;
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO collection (run_id, page, cursor, finished, mark) \
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![run_id, signed(position.page)?, position.cursor, position.finished, position.mark])
                    .map(drop)
            })
            .await
    }

    /// How far the run's collecting stands; `None` = not begun.
    pub async fn collect_position(&self, run_id: &str) -> Result<Option<CollectPosition>, StoreError> {
        let run_id = run_id.to_owned();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT page, cursor, finished, mark FROM collection WHERE run_id = ?1")?
                    .query_row([run_id], |row| {
                        Ok(CollectPosition {
                            page: unsigned(row, 0)?,
                            cursor: row.get(1)?,
                            finished: row.get(2)?,
                            mark: row.get(3)?,
                        })
                    })
                    .optional()
            })
            .await
    }

    /// The run's titles in ascending order after `after`, at most `limit`.
    pub async fn pending(
        &self,
        run_id: &str,
        after: Option<SeriesId>,
        limit: u32,
    ) -> Result<Vec<SeriesId>, StoreError> {
        let run_id = run_id.to_owned();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT series_id FROM pending WHERE run_id = ?1 AND series_id > ?2 ORDER BY series_id LIMIT ?3",
                    )?
                    .query_map(params![run_id, signed(after.map_or(0, |id| id.0))?, limit], series_id)?
                    .collect()
            })
            .await
    }

    /// How many titles the run has collected.
    pub async fn pending_count(&self, run_id: &str) -> Result<u64, StoreError> {
        let run_id = run_id.to_owned();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT count(*) FROM pending WHERE run_id = ?1")?
                    .query_row([run_id], |row| unsigned(row, 0))
            })
            .await
    }

    /// Forgets the collected titles of all runs but this one.
    pub async fn keep_pending_of(&self, run_id: &str) -> Result<(), StoreError> {
        let run_id = run_id.to_owned();
        self.database
            .write(PENDING, move |connection| {
                connection.execute("DELETE FROM pending WHERE run_id <> ?1", [&run_id])?;
                connection.execute(
                    "DELETE FROM rejected WHERE run_id <> ?1 AND run_id NOT IN (SELECT run_id FROM listing)",
                    [&run_id],
                )?;
                connection.execute("DELETE FROM collection WHERE run_id <> ?1", [&run_id]).map(drop)
            })
            .await
    }
}

fn series_id(row: &rusqlite::Row<'_>) -> rusqlite::Result<SeriesId> {
    unsigned(row, 0).map(SeriesId)
}

fn materials(connection: &Connection, series: SeriesId) -> rusqlite::Result<Vec<LandedMaterial>> {
    connection
        .prepare_cached(
            "SELECT id, series_id, updated_at, raw FROM material WHERE series_id = ?1 \
             ORDER BY generation, page, position, id",
        )?
        .query_map([signed(series.0)?], material)?
        .collect()
}

fn metadata(connection: &Connection, series: SeriesId) -> rusqlite::Result<Option<LandedMetadata>> {
    connection
        .prepare_cached("SELECT run_id, origin, reason, raw, fetched_at FROM metadata WHERE series_id = ?1")?
        .query_row([signed(series.0)?], |row| {
            let origin = match row.get_ref(1)?.as_str()? {
                "graphql" => LandedOrigin::GraphQl,
                "rest" => LandedOrigin::Rest,
                _ => {
                    let reason = row.get::<_, Option<String>>(2)?;
                    let reason = reason.as_deref().and_then(SkipReason::named);
                    LandedOrigin::Absent(reason.unwrap_or(SkipReason::NotFound))
                }
            };
            let raw = row.get::<_, Vec<u8>>(3)?.into();
            let fetched_at = Timestamp::from_millisecond(row.get(4)?).unwrap_or(Timestamp::UNIX_EPOCH);
            Ok(LandedMetadata { series, run_id: row.get(0)?, origin, raw, fetched_at })
        })
        .optional()
}
