//! Questions of readers: a page of series, one series by its slug, its episodes with their players. Only what is
//! switched on is shown.

use super::codec;
use crate::model::SeriesStatus;
use crate::store::sql::{Engine, Row, Session, SqlError, values};

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

const COLUMNS: &str = "SELECT s.name, r.source_id, r.slug, r.title, r.alternative_titles, r.description, r.year, \
                       r.status, r.poster, r.genres, r.created_at, r.updated_at \
                       FROM series r JOIN source s ON s.id = r.source";

const SELECTED: &str = "r.is_active = TRUE AND (r.year = ?1 OR ?1 IS NULL) AND (r.status = ?2 OR ?2 IS NULL) AND \
                        (CAST(?3 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM ";

/// The condition on `?1` year, `?2` status and `?3` genre.
fn filter(engine: Engine) -> String {
    let genre = match engine {
        Engine::Sqlite => "json_each(r.genres) g WHERE lower(g.value) = lower(?3)))",
        // Only ASCII letters have a case, as in SQLite.
        Engine::Postgres => {
            "jsonb_array_elements_text(r.genres) g (value) \
             WHERE lower(g.value COLLATE \"C\") = lower(CAST(?3 AS TEXT) COLLATE \"C\")))"
        }
    };
    format!("WHERE {SELECTED}{genre}")
}

/// One page of series.
pub fn page(session: &Session<'_>, query: &Query) -> Result<Page, SqlError> {
    let status = query.status.map(SeriesStatus::as_str);
    let filter = filter(session.engine());
    let total = session.one(
        &format!("SELECT count(*) FROM series r {filter}"),
        values![query.year, status, &query.genre],
        |row| row.get(0),
    )?;
    let order = query.sort.sql(query.descending);
    // The page's rows are chosen without their texts, which may be long.
    let select = format!("SELECT r.id FROM series r {filter} ORDER BY {order} LIMIT ?4 OFFSET ?5");
    let chosen = session.engine().among("r.id", &select);
    let series = session.query(
        &format!("{COLUMNS} WHERE {chosen} ORDER BY {order}"),
        values![query.year, status, &query.genre, query.limit, query.skip],
        series,
    )?;
    Ok(Page { total, series })
}

fn series(row: &Row<'_>) -> Result<ShownSeries, SqlError> {
    Ok(ShownSeries {
        source_name: row.get(0)?,
        source_id: row.get(1)?,
        slug: row.get(2)?,
        title: row.get(3)?,
        alternative_titles: codec::parse_list(row.text(4)?)?,
        description: row.get(5)?,
        year: row.get(6)?,
        status: row.get(7)?,
        poster: row.get(8)?,
        genres: codec::parse_list(row.text(9)?)?,
        created_at: codec::parse_millis(row.get(10)?)?,
        updated_at: codec::parse_millis(row.get(11)?)?,
    })
}

/// The series of a slug.
pub fn by_slug(session: &Session<'_>, slug: &str) -> Result<Option<ShownSeries>, SqlError> {
    session.first(&format!("{COLUMNS} WHERE r.is_active = TRUE AND r.slug = ?1"), values![slug], series)
}

/// The episodes of the series of a slug, specials last; `None` = no such series.
pub fn episodes_by_slug(session: &Session<'_>, slug: &str) -> Result<Option<Vec<ShownEpisode>>, SqlError> {
    let series: Option<i64> =
        session.first("SELECT id FROM series WHERE is_active = TRUE AND slug = ?1", values![slug], |row| row.get(0))?;
    let Some(series) = series else { return Ok(None) };
    let mut episodes: Vec<ShownEpisode> = Vec::new();
    session.query(
        "SELECT s.name, e.source_episode_id, e.season, e.number, e.title, v.player_type, v.url, v.player_source, \
         v.priority FROM episode e JOIN source s ON s.id = e.source \
         LEFT JOIN video v ON v.episode_id = e.id AND v.is_active = TRUE \
         WHERE e.series_id = ?1 AND e.is_active = TRUE \
         ORDER BY e.season = 0, e.season, e.number, e.source_episode_id, v.priority DESC, v.player_source, v.url",
        values![series],
        |row| collect(row, &mut episodes),
    )?;
    Ok(Some(episodes))
}

/// Rows of one episode follow each other, one for each player.
fn collect(row: &Row<'_>, episodes: &mut Vec<ShownEpisode>) -> Result<(), SqlError> {
    let id = row.text(1)?;
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
    Ok(())
}
