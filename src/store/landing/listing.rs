//! Landing pages of the whole catalogue.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{LandedMaterial, LandedPage, Landing, ListingPosition, RejectedMaterial, points};
use crate::model::{MaterialId, SeriesId};
use crate::store::StoreError;
use crate::store::sqlite::{CrashPoints, signed, unsigned};

const BEGIN: CrashPoints = points!("begin");
const PAGE: CrashPoints = points!("page");
const FINISH: CrashPoints = points!("finish");

impl Landing {
    /// Begins a new listing and returns its generation. An older unfinished one is given up; its materials stay until
    /// the new one is finished.
    pub async fn begin_listing(&self, run_id: &str) -> Result<u64, StoreError> {
        let run_id = run_id.to_owned();
        let now = jiff::Timestamp::now().as_millisecond();
        self.database
            .write(BEGIN, move |connection| {
                connection.execute(
                    "INSERT INTO listing (generation, run_id, started_at) \
                     SELECT coalesce(max(generation), 0) + 1, ?1, ?2 FROM listing",
                    params![run_id, now],
                )?;
                connection.query_row("SELECT max(generation) FROM listing", [], |row| unsigned(row, 0))
            })
            .await
    }

    /// The newest listing.
    pub async fn listing(&self) -> Result<Option<ListingPosition>, StoreError> {
        self.database
            .read(|connection| {
                connection
                    .query_row(
                        "SELECT generation, run_id, page, cursor, finished, total FROM listing \
                         ORDER BY generation DESC LIMIT 1",
                        [],
                        position,
                    )
                    .optional()
            })
            .await
    }

    /// Lands a page: its items and the position after it, in one transaction. The same page again changes nothing more.
    pub async fn commit_page(&self, generation: u64, page: LandedPage) -> Result<(), StoreError> {
        self.database.write(PAGE, move |connection| commit_page(connection, generation, &page)).await
    }

    /// Marks the listing finished and removes what only older ones saw; both or neither.
    pub async fn finish_listing(&self, generation: u64) -> Result<(), StoreError> {
        self.database
            .write(FINISH, move |connection| {
                let generation = signed(generation)?;
                connection
                    .execute("UPDATE listing SET finished = 1, cursor = NULL WHERE generation = ?1", [generation])?;
                connection.execute("DELETE FROM material WHERE generation < ?1", [generation])?;
                connection.execute(
                    "DELETE FROM rejected WHERE run_id IN (SELECT run_id FROM listing WHERE generation < ?1)",
                    [generation],
                )?;
                connection.execute("DELETE FROM listing WHERE generation < ?1", [generation])?;
                Ok(())
            })
            .await
    }

    /// Titles with materials.
    pub async fn series_count(&self) -> Result<u64, StoreError> {
        self.count("SELECT count(DISTINCT series_id) FROM material WHERE series_id IS NOT NULL").await
    }

    /// Materials, those without a title included.
    pub async fn material_count(&self) -> Result<u64, StoreError> {
        self.count("SELECT count(*) FROM material").await
    }

    /// Materials that this listing has landed so far.
    pub async fn material_count_of(&self, generation: u64) -> Result<u64, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT count(*) FROM material WHERE generation = ?1")?
                    .query_row([signed(generation)?], |row| unsigned(row, 0))
            })
            .await
    }

    /// `updated_at` of everything that this listing has landed after `page`.
    pub async fn updates_after(&self, generation: u64, page: u64) -> Result<Vec<String>, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT updated_at FROM material WHERE generation = ?1 AND page > ?2 AND updated_at IS NOT NULL",
                    )?
                    .query_map([signed(generation)?, signed(page)?], |row| row.get(0))?
                    .collect()
            })
            .await
    }

    /// Materials without a usable title id.
    pub async fn without_series_count(&self) -> Result<u64, StoreError> {
        self.count("SELECT count(*) FROM material WHERE series_id IS NULL").await
    }

    /// The first `limit` materials without a usable title id, by id, after `after`.
    pub async fn without_series(
        &self,
        after: Option<MaterialId>,
        limit: u32,
    ) -> Result<Vec<LandedMaterial>, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT id, series_id, updated_at, raw FROM material WHERE series_id IS NULL AND id > ?1 \
                         ORDER BY id LIMIT ?2",
                    )?
                    .query_map(params![after.map_or(String::new(), |id| id.0), limit], material)?
                    .collect()
            })
            .await
    }

    /// List items of a run that could not be read and belong to no title that could: nothing else speaks of them.
    pub async fn rejected(&self, run_id: &str) -> Result<Vec<RejectedMaterial>, StoreError> {
        self.rejects(
            run_id,
            "SELECT page, id, series_id, reason, raw FROM rejected WHERE run_id = ?1 AND (series_id IS NULL OR NOT \
             EXISTS (SELECT 1 FROM material WHERE material.series_id = rejected.series_id)) ORDER BY page, position",
        )
        .await
    }

    /// List items of a run that could not be read and belong to a title of which other items could.
    pub async fn rejected_of_titles(&self, run_id: &str) -> Result<Vec<RejectedMaterial>, StoreError> {
        self.rejects(
            run_id,
            "SELECT page, id, series_id, reason, raw FROM rejected WHERE run_id = ?1 AND series_id IS NOT NULL \
             ORDER BY page, position",
        )
        .await
    }

    async fn rejects(&self, run_id: &str, sql: &'static str) -> Result<Vec<RejectedMaterial>, StoreError> {
        let run_id = run_id.to_owned();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(sql)?
                    .query_map([run_id], |row| {
                        Ok(RejectedMaterial {
                            page: unsigned(row, 0)?,
                            id: row.get(1)?,
                            series: row.get::<_, Option<i64>>(2)?.and_then(|id| u64::try_from(id).ok()).map(SeriesId),
                            reason: row.get(3)?,
                            raw: row.get::<_, Vec<u8>>(4)?.into(),
                        })
                    })?
                    .collect()
            })
            .await
    }

    pub(super) async fn count(&self, sql: &'static str) -> Result<u64, StoreError> {
        self.database.read(move |connection| connection.query_row(sql, [], |row| unsigned(row, 0))).await
    }
}

fn position(row: &Row<'_>) -> rusqlite::Result<ListingPosition> {
    Ok(ListingPosition {
        generation: unsigned(row, 0)?,
        run_id: row.get(1)?,
        page: unsigned(row, 2)?,
        cursor: row.get(3)?,
        finished: row.get(4)?,
        total: row.get::<_, Option<i64>>(5)?.and_then(|total| u64::try_from(total).ok()),
    })
}

fn commit_page(connection: &Connection, generation: u64, page: &LandedPage) -> rusqlite::Result<()> {
    let (generation, number) = (signed(generation)?, signed(page.page)?);
    put_materials(connection, generation, number, &page.materials)?;
    let run_id: String = connection
        .prepare_cached("SELECT run_id FROM listing WHERE generation = ?1")?
        .query_row([generation], |row| row.get(0))?;
    put_rejected(connection, &run_id, number, &page.rejected)?;
    let total = page.total.map(signed).transpose()?;
    let moved = connection
        .prepare_cached(
            "UPDATE listing SET page = ?2, cursor = ?3, total = coalesce(?4, total) \
             WHERE generation = ?1 AND finished = 0",
        )?
        .execute(params![generation, number, page.next, total])?;
    if moved == 0 {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }
    Ok(())
}

/// Inserts or replaces by id: an item that appears again (changed while it was listed) counts where it was seen last.
pub(super) fn put_materials(
    connection: &Connection,
    generation: i64,
    page: i64,
    materials: &[LandedMaterial],
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO material (id, generation, page, position, series_id, updated_at, raw) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, \
         page = excluded.page, position = excluded.position, series_id = excluded.series_id, \
         updated_at = excluded.updated_at, raw = excluded.raw",
    )?;
    for (at, item) in (0_i64..).zip(materials) {
        let series = item.series.map(|series| signed(series.0)).transpose()?;
        insert.execute(params![item.id.0, generation, page, at, series, item.updated_at, &item.raw[..]])?;
    }
    Ok(())
}

/// Keeps what could not be read; the same page again replaces it.
pub(super) fn put_rejected(
    connection: &Connection,
    run_id: &str,
    page: i64,
    rejected: &[RejectedMaterial],
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO rejected (run_id, page, position, id, series_id, reason, raw) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (at, item) in (0_i64..).zip(rejected) {
        let series = item.series.map(|series| signed(series.0)).transpose()?;
        insert.execute(params![run_id, page, at, item.id, series, item.reason, &item.raw[..]])?;
    }
    Ok(())
}

/// Columns `id, series_id, updated_at, raw`.
pub(super) fn material(row: &Row<'_>) -> rusqlite::Result<LandedMaterial> {
    Ok(LandedMaterial {
        id: MaterialId(row.get(0)?),
        series: row.get::<_, Option<i64>>(1)?.and_then(|id| u64::try_from(id).ok()).map(SeriesId),
        updated_at: row.get(2)?,
        raw: row.get::<_, Vec<u8>>(3)?.into(),
    })
}
