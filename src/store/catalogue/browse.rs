//! Questions of readers: a page of series, one series by its slug, its episodes with their players. Only what is
//! switched on is shown.

use std::future::Future;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{SqliteCatalogue, codec};
use crate::model::SeriesStatus;
use crate::store::StoreError;
use crate::store::sqlite::unsigned;

/// Which series, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Leave out this many.
    pub skip: u32,
    /// At most this many.
    pub limit: u32,
    /// Of this year.
    pub year: Option<i64>,
    /// In this status.
    pub status: Option<SeriesStatus>,
    /// With this genre; the case of ASCII letters does not matter.
    pub genre: Option<String>,
    /// By what.
    pub sort: Sort,
    /// Largest first.
    pub descending: bool,
}

/// What a page is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Title.
    #[default]
    Title,
    /// Year; series without one come last.
    Year,
    /// When it was imported first.
    Created,
    /// When it was changed last.
    Updated,
}

impl Sort {
    fn sql(self, descending: bool) -> &'static str {
        match (self, descending) {
            (Self::Title, false) => "r.title, r.slug",
            (Self::Title, true) => "r.title DESC, r.slug DESC",
            (Self::Year, false) => "r.year IS NULL, r.year, r.title, r.slug",
            (Self::Year, true) => "r.year IS NULL, r.year DESC, r.title, r.slug",
            (Self::Created, false) => "r.created_at, r.slug",
            (Self::Created, true) => "r.created_at DESC, r.slug",
            (Self::Updated, false) => "r.updated_at, r.slug",
            (Self::Updated, true) => "r.updated_at DESC, r.slug",
        }
    }
}

/// One page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// How many there are on all pages.
    pub total: u64,
    /// Those of this page.
    pub series: Vec<ShownSeries>,
}

/// A series as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSeries {
    /// `kodik-shikimori`.
    pub source_name: String,
    /// The source's id.
    pub source_id: String,
    /// Its name in addresses.
    pub slug: String,
    /// Title.
    pub title: String,
    /// Other names.
    pub alternative_titles: Vec<String>,
    /// Plain text.
    pub description: Option<String>,
    /// Year.
    pub year: Option<i64>,
    /// The contract's word.
    pub status: Option<String>,
    /// Address of the poster.
    pub poster: Option<String>,
    /// Names.
    pub genres: Vec<String>,
    /// Imported first.
    pub created_at: jiff::Timestamp,
    /// Changed last.
    pub updated_at: jiff::Timestamp,
}

/// An episode as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownEpisode {
    /// Whose source.
    pub source_name: String,
    /// Unique in the source.
    pub source_episode_id: String,
    /// Season; 0 = specials.
    pub season: u32,
    /// Number.
    pub number: u32,
    /// Title.
    pub title: Option<String>,
    /// Preferred first.
    pub players: Vec<ShownPlayer>,
}

/// A player as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPlayer {
    /// `iframe`.
    pub player_type: String,
    /// Link.
    pub url: String,
    /// `kodik`.
    pub source_name: String,
    /// Higher = preferred.
    pub priority: i64,
}

/// An engine that readers can ask.
pub trait BrowseStore: Send + Sync {
    /// One page of series.
    fn page(&self, query: Query) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// The series of this slug.
    fn by_slug(&self, slug: String) -> impl Future<Output = Result<Option<ShownSeries>, StoreError>> + Send;

    /// The episodes of the series of this slug, specials last; `None` = no such series.
    fn episodes_by_slug(
        &self,
        slug: String,
    ) -> impl Future<Output = Result<Option<Vec<ShownEpisode>>, StoreError>> + Send;

    /// Does the store answer at all?
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl BrowseStore for SqliteCatalogue {
    async fn page(&self, query: Query) -> Result<Page, StoreError> {
        self.database.read(move |connection| page(connection, &query)).await
    }

    async fn by_slug(&self, slug: String) -> Result<Option<ShownSeries>, StoreError> {
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(&format!("{COLUMNS} WHERE r.is_active = 1 AND r.slug = ?1"))?
                    .query_row([slug], series)
                    .optional()
            })
            .await
    }

    async fn episodes_by_slug(&self, slug: String) -> Result<Option<Vec<ShownEpisode>>, StoreError> {
        self.database.read(move |connection| episodes(connection, &slug)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A statement that reads the file, so that a lost disk is noticed.
        self.database
            .read(|connection| connection.prepare_cached("SELECT 1 FROM source LIMIT 1")?.exists([]).map(drop))
            .await
    }
}

const COLUMNS: &str = "SELECT s.name, r.source_id, r.slug, r.title, r.alternative_titles, r.description, r.year, \
                       r.status, r.poster, r.genres, r.created_at, r.updated_at \
                       FROM series r JOIN source s ON s.id = r.source";

const FILTER: &str = "WHERE r.is_active = 1 AND (?1 IS NULL OR r.year = ?1) AND (?2 IS NULL OR r.status = ?2) AND \
                      (?3 IS NULL OR EXISTS (SELECT 1 FROM json_each(r.genres) g WHERE g.value = ?3 COLLATE NOCASE))";

fn page(connection: &Connection, query: &Query) -> rusqlite::Result<Page> {
    let status = query.status.map(SeriesStatus::as_str);
    let total = connection
        .prepare_cached(&format!("SELECT count(*) FROM series r {FILTER}"))?
        .query_row(params![query.year, status, query.genre], |row| unsigned(row, 0))?;
    let order = query.sort.sql(query.descending);
    // The page's rows are chosen without their texts, which may be long.
    let series = connection
        .prepare_cached(&format!(
            "{COLUMNS} WHERE r.id IN (SELECT r.id FROM series r {FILTER} ORDER BY {order} LIMIT ?4 OFFSET ?5) \
             ORDER BY {order}"
        ))?
        .query_map(params![query.year, status, query.genre, query.limit, query.skip], series)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Page { total, series })
}

fn series(row: &Row<'_>) -> rusqlite::Result<ShownSeries> {
    Ok(ShownSeries {
        source_name: row.get(0)?,
        source_id: row.get(1)?,
        slug: row.get(2)?,
        title: row.get(3)?,
        alternative_titles: codec::parse_list(row.get_ref(4)?.as_str()?)?,
        description: row.get(5)?,
        year: row.get(6)?,
        status: row.get(7)?,
        poster: row.get(8)?,
        genres: codec::parse_list(row.get_ref(9)?.as_str()?)?,
        created_at: codec::parse_millis(row.get(10)?)?,
        updated_at: codec::parse_millis(row.get(11)?)?,
    })
}

fn episodes(connection: &Connection, slug: &str) -> rusqlite::Result<Option<Vec<ShownEpisode>>> {
    let series: Option<i64> = connection
        .prepare_cached("SELECT id FROM series WHERE is_active = 1 AND slug = ?1")?
        .query_row([slug], |row| row.get(0))
        .optional()?;
    let Some(series) = series else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT s.name, e.source_episode_id, e.season, e.number, e.title, v.player_type, v.url, v.player_source, \
         v.priority FROM episode e JOIN source s ON s.id = e.source \
         LEFT JOIN video v ON v.episode_id = e.id AND v.is_active = 1 \
         WHERE e.series_id = ?1 AND e.is_active = 1 \
         ORDER BY e.season = 0, e.season, e.number, e.source_episode_id, v.priority DESC, v.player_source, v.url",
    )?;
    let mut rows = statement.query([series])?;
    let mut episodes: Vec<ShownEpisode> = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get_ref(1)?.as_str()?;
        if episodes.last().is_none_or(|episode| episode.source_episode_id != id) {
            episodes.push(ShownEpisode {
                source_name: row.get(0)?,
                source_episode_id: id.to_owned(),
                season: row.get(2)?,
                number: row.get(3)?,
                title: row.get(4)?,
                players: Vec::new(),
            });
        }
        if let (Some(player_type), Some(episode)) = (row.get(5)?, episodes.last_mut()) {
            episode.players.push(ShownPlayer {
                player_type,
                url: row.get(6)?,
                source_name: row.get(7)?,
                priority: row.get(8)?,
            });
        }
    }
    Ok(Some(episodes))
}
