//! Imports that carry a part of a title: the card of a series, some of its episodes, one video.
//!
//! As with whole titles, what is stored is read, a pure function decides, and the difference is written, all in one
//! transaction. Every write resets the series' fingerprint: it tells that the last whole record is what is stored, and
//! that is no longer so.

use std::future::Future;

use rusqlite::{Connection, OptionalExtension, params};

use super::changes::{EpisodeRow, Put, VideoRow};
use super::{SqliteCatalogue, StoredEpisode, StoredVideo, TitleKey, codec, read, write};
use crate::model::{Change, MetadataOrigin, SeriesStatus};
use crate::store::StoreError;
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints =
    CrashPoints { before: "catalogue.part.before_commit", after: "catalogue.part.after_commit" };

/// The fields of a series that a partial import carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Never empty.
    pub title: String,
    /// Other names.
    pub alternative_titles: Vec<String>,
    /// Plain text.
    pub description: Option<String>,
    /// 1900..=2100.
    pub year: Option<u16>,
    /// Airing, finished, announced.
    pub status: Option<SeriesStatus>,
    /// Address of the poster.
    pub poster: Option<String>,
    /// Names.
    pub genres: Vec<String>,
}

/// The card of a stored series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCard {
    /// Row id.
    pub row: i64,
    /// The data.
    pub card: Card,
    /// A person edited it.
    pub admin_modified: bool,
}

/// What becomes of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardPut {
    /// A new series.
    Insert {
        /// All fields.
        card: Card,
        /// What the slug starts with; the store appends `-1`, `-2` … until it is free.
        slug: String,
    },
    /// Fields differ.
    Update {
        /// Row.
        row: i64,
        /// All fields as they shall be.
        card: Card,
    },
}

/// An episode that is stored under an id that an import names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEpisode {
    /// It belongs to the series of the import and not to another one.
    pub own: bool,
    /// The row.
    pub episode: StoredEpisode,
}

/// The natural key of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoKey {
    /// `kodik-shikimori`.
    pub source_name: String,
    /// Unique inside the source.
    pub source_episode_id: String,
    /// Link.
    pub url: String,
    /// `kodik`.
    pub player_source: String,
}

/// An engine that takes parts of titles. `decide` is pure and may be called again when an engine has to try again.
pub trait PartsStore: Send + Sync {
    /// Brings the card of a series up to date; `None` = nothing was written.
    fn update_card<F>(
        &self,
        key: TitleKey,
        decide: F,
    ) -> impl Future<Output = Result<Option<Change>, StoreError>> + Send
    where
        F: Fn(Option<&StoredCard>) -> Option<CardPut> + Send + 'static;

    /// Brings episodes of a series up to date; `decide` sees those that are stored under `ids`. `None` = no such series.
    fn update_episodes<T, F>(
        &self,
        key: TitleKey,
        ids: Vec<String>,
        decide: F,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send
    where
        T: Send + 'static,
        F: Fn(&[KnownEpisode]) -> (Vec<Put<EpisodeRow>>, T) + Send + 'static;

    /// Brings one video up to date; `decide` gets the episode's row. `None` = no such episode, `Some(None)` = nothing
    /// was written.
    fn update_video<F>(
        &self,
        key: VideoKey,
        decide: F,
    ) -> impl Future<Output = Result<Option<Option<Change>>, StoreError>> + Send
    where
        F: Fn(i64, Option<&StoredVideo>) -> Option<Put<VideoRow>> + Send + 'static;
}

impl PartsStore for SqliteCatalogue {
    async fn update_card<F>(&self, key: TitleKey, decide: F) -> Result<Option<Change>, StoreError>
    where
        F: Fn(Option<&StoredCard>) -> Option<CardPut> + Send + 'static,
    {
        let now = jiff::Timestamp::now().as_millisecond();
        self.database
            .write(POINTS, move |connection| {
                let source = read::source_row(connection, &key.source_name)?;
                let stored = source.map(|source| card(connection, source, &key.source_id)).transpose()?.flatten();
                match decide(stored.as_ref()) {
                    None => Ok(None),
                    Some(CardPut::Insert { card, slug }) => {
                        insert_card(connection, &key, &card, &slug, now)?;
                        Ok(Some(Change::Created))
                    }
                    Some(CardPut::Update { row, card }) => {
                        update_card(connection, row, &card, now)?;
                        Ok(Some(Change::Updated))
                    }
                }
            })
            .await
    }

    async fn update_episodes<T, F>(&self, key: TitleKey, ids: Vec<String>, decide: F) -> Result<Option<T>, StoreError>
    where
        T: Send + 'static,
        F: Fn(&[KnownEpisode]) -> (Vec<Put<EpisodeRow>>, T) + Send + 'static,
    {
        let now = jiff::Timestamp::now().as_millisecond();
        self.database
            .write(POINTS, move |connection| {
                let Some(source) = read::source_row(connection, &key.source_name)? else { return Ok(None) };
                let Some(series) = series_row(connection, source, &key.source_id)? else { return Ok(None) };
                let mut known = Vec::with_capacity(ids.len());
                for id in &ids {
                    known.extend(episode(connection, source, series, id)?);
                }
                let (puts, told) = decide(&known);
                for put in &puts {
                    write::put_episode(connection, source, series, put, now)?;
                }
                if !puts.is_empty() {
                    touch(connection, series, now)?;
                }
                Ok(Some(told))
            })
            .await
    }

    async fn update_video<F>(&self, key: VideoKey, decide: F) -> Result<Option<Option<Change>>, StoreError>
    where
        F: Fn(i64, Option<&StoredVideo>) -> Option<Put<VideoRow>> + Send + 'static,
    {
        let now = jiff::Timestamp::now().as_millisecond();
        self.database
            .write(POINTS, move |connection| {
                let episode: Option<(i64, i64)> = connection
                    .prepare_cached(
                        "SELECT e.id, e.series_id FROM source s JOIN episode e ON e.source = s.id \
                         WHERE s.name = ?1 AND e.source_episode_id = ?2",
                    )?
                    .query_row([&key.source_name, &key.source_episode_id], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                let Some((episode, series)) = episode else { return Ok(None) };
                let stored = video(connection, episode, &key)?;
                let Some(put) = decide(episode, stored.as_ref()) else { return Ok(Some(None)) };
                write::put_video(connection, &put, &[], &[], now)?;
                touch(connection, series, now)?;
                Ok(Some(Some(if put.row.is_some() { Change::Updated } else { Change::Created })))
            })
            .await
    }
}

fn series_row(connection: &Connection, source: i64, source_id: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM series WHERE source = ?1 AND source_id = ?2")?
        .query_row((source, source_id), |row| row.get(0))
        .optional()
}

fn card(connection: &Connection, source: i64, source_id: &str) -> rusqlite::Result<Option<StoredCard>> {
    connection
        .prepare_cached(
            "SELECT id, title, alternative_titles, description, year, status, poster, genres, admin_modified \
             FROM series WHERE source = ?1 AND source_id = ?2",
        )?
        .query_row((source, source_id), |row| {
            Ok(StoredCard {
                row: row.get(0)?,
                card: Card {
                    title: row.get(1)?,
                    alternative_titles: codec::parse_list(row.get_ref(2)?.as_str()?)?,
                    description: row.get(3)?,
                    year: row.get(4)?,
                    status: row.get_ref(5)?.as_str_or_null()?.map(codec::parse_status).transpose()?,
                    poster: row.get(6)?,
                    genres: codec::parse_list(row.get_ref(7)?.as_str()?)?,
                },
                admin_modified: row.get(8)?,
            })
        })
        .optional()
}

fn insert_card(connection: &Connection, key: &TitleKey, card: &Card, slug: &str, now: i64) -> rusqlite::Result<()> {
    let source = write::source_row(connection, &key.source_name)?;
    let slug = write::free_slug(connection, slug)?;
    connection
        .prepare_cached(
            "INSERT INTO series (source, source_id, slug, title, alternative_titles, description, year, status, poster, \
             genres, studios, origin, fingerprint, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, '[]', ?11, '', ?12, ?12)",
        )?
        .execute(params![
            source,
            key.source_id,
            slug,
            card.title,
            codec::list(&card.alternative_titles),
            card.description,
            card.year,
            card.status.map(SeriesStatus::as_str),
            card.poster,
            codec::list(&card.genres),
            // A card does not say where it came from; whoever knows may replace it.
            codec::origin(MetadataOrigin::MaterialData),
            now,
        ])
        .map(drop)
}

fn update_card(connection: &Connection, row: i64, card: &Card, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE series SET title = ?2, alternative_titles = ?3, description = ?4, year = ?5, status = ?6, \
             poster = ?7, genres = ?8, fingerprint = '', updated_at = ?9 WHERE id = ?1",
        )?
        .execute(params![
            row,
            card.title,
            codec::list(&card.alternative_titles),
            card.description,
            card.year,
            card.status.map(SeriesStatus::as_str),
            card.poster,
            codec::list(&card.genres),
            now,
        ])
        .map(drop)
}

fn touch(connection: &Connection, series: i64, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE series SET fingerprint = '', updated_at = ?2 WHERE id = ?1")?
        .execute((series, now))
        .map(drop)
}

fn episode(connection: &Connection, source: i64, series: i64, id: &str) -> rusqlite::Result<Option<KnownEpisode>> {
    connection
        .prepare_cached(
            "SELECT id, source_episode_id, season, key, number, title, class, is_active, disabled_by IS NOT NULL, \
             series_id FROM episode WHERE source = ?1 AND source_episode_id = ?2",
        )?
        .query_row((source, id), |row| {
            Ok(KnownEpisode { own: row.get::<_, i64>(9)? == series, episode: read::episode(row)? })
        })
        .optional()
}

fn video(connection: &Connection, episode: i64, key: &VideoKey) -> rusqlite::Result<Option<StoredVideo>> {
    connection
        .prepare_cached(
            "SELECT id, episode_id, release_id, player_type, player_source, url, priority, is_active, \
             disabled_by IS NOT NULL FROM video WHERE episode_id = ?1 AND url = ?2 AND player_source = ?3",
        )?
        .query_row((episode, &key.url, &key.player_source), read::video)
        .optional()
}
