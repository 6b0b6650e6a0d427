//! Imports that carry a part of a title: the card of a series, some of its episodes, one video.
//!
//! As with whole titles, what is stored is read, a pure function decides, and the difference is written, all in one
//! transaction. Every write resets the series' fingerprint: it tells that the last whole record is what is stored, and
//! that is no longer so.

use super::changes::{EpisodeRow, Put, VideoRow};
use super::{StoredEpisode, StoredVideo, TitleKey, codec, read, search, write};
use crate::model::{MetadataOrigin, SeriesStatus};
use crate::store::sql::{Session, SqlError, values};

/// The fields of a series that a partial import carries.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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

/// The card of a stored series.
pub fn card(session: &Session<'_>, key: &TitleKey) -> Result<Option<StoredCard>, SqlError> {
    let Some(source) = read::source_row(session, &key.source_name)? else { return Ok(None) };
    stored_card(session, source, &key.source_id)
}

/// Writes the card of a series; gives its row.
pub fn put_card(session: &Session<'_>, key: &TitleKey, put: &CardPut, now: i64) -> Result<i64, SqlError> {
    match put {
        CardPut::Insert { card, slug } => insert_card(session, key, card, slug, now),
        CardPut::Update { row, card } => update_card(session, *row, card, now).map(|()| *row),
    }
}

/// A series that episodes are sent for, and those of `ids` that are stored, whosever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEpisodes {
    source: i64,
    series: i64,
    /// Stored under the ids that were asked for.
    pub episodes: Vec<KnownEpisode>,
}

/// What is stored under `ids`; `None` = no such series.
pub fn known_episodes(
    session: &Session<'_>,
    key: &TitleKey,
    ids: &[String],
) -> Result<Option<KnownEpisodes>, SqlError> {
    let Some(source) = read::source_row(session, &key.source_name)? else { return Ok(None) };
    let Some(series) = series_row(session, source, &key.source_id)? else { return Ok(None) };
    let mut episodes = Vec::with_capacity(ids.len());
    for id in ids {
        episodes.extend(episode(session, source, series, id)?);
    }
    Ok(Some(KnownEpisodes { source, series, episodes }))
}

/// Writes episodes of that series.
pub fn put_episodes(
    session: &Session<'_>,
    known: &KnownEpisodes,
    puts: &[Put<EpisodeRow>],
    now: i64,
) -> Result<(), SqlError> {
    write::put_episodes(session, known.source, known.series, puts, now)?;
    if puts.is_empty() { Ok(()) } else { touch(session, known.series, now) }
}

/// An episode that a video is sent for, and the video if it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownVideo {
    /// Row of the episode.
    pub episode: i64,
    series: i64,
    /// The video.
    pub video: Option<StoredVideo>,
}

/// What is stored of a video; `None` = no such episode.
pub fn known_video(session: &Session<'_>, key: &VideoKey) -> Result<Option<KnownVideo>, SqlError> {
    let episode: Option<(i64, i64)> = session.first(
        "SELECT id, series_id FROM episode \
         WHERE source = (SELECT id FROM source WHERE name = ?1) AND source_episode_id = ?2",
        values![&key.source_name, &key.source_episode_id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let Some((episode, series)) = episode else { return Ok(None) };
    Ok(Some(KnownVideo { episode, series, video: stored_video(session, episode, key)? }))
}

/// Writes that video.
pub fn put_video(session: &Session<'_>, known: &KnownVideo, put: &Put<VideoRow>, now: i64) -> Result<(), SqlError> {
    write::put_videos(session, std::slice::from_ref(put), &[], &[], now)?;
    touch(session, known.series, now)
}

fn series_row(session: &Session<'_>, source: i64, source_id: &str) -> Result<Option<i64>, SqlError> {
    session.first("SELECT id FROM series WHERE source = ?1 AND source_id = ?2", values![source, source_id], |row| {
        row.get(0)
    })
}

fn stored_card(session: &Session<'_>, source: i64, source_id: &str) -> Result<Option<StoredCard>, SqlError> {
    session.first(
        "SELECT id, title, alternative_titles, description, year, status, poster, genres, admin_modified \
             FROM series WHERE source = ?1 AND source_id = ?2",
        values![source, source_id],
        |row| {
            Ok(StoredCard {
                row: row.get(0)?,
                card: Card {
                    title: row.get(1)?,
                    alternative_titles: codec::parse_list(row.text(2)?)?,
                    description: row.get(3)?,
                    year: row.get(4)?,
                    status: row.text_or_null(5)?.map(codec::parse_status).transpose()?,
                    poster: row.get(6)?,
                    genres: codec::parse_list(row.text(7)?)?,
                },
                admin_modified: row.get(8)?,
            })
        },
    )
}

fn insert_card(session: &Session<'_>, key: &TitleKey, card: &Card, slug: &str, now: i64) -> Result<i64, SqlError> {
    let source = write::source_row(session, &key.source_name)?;
    let slug = write::free_slug(session, slug)?;
    session.one(
        "INSERT INTO series (source, source_id, slug, title, alternative_titles, description, year, status, poster, \
         genres, studios, origin, fingerprint, created_at, updated_at, search_text) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, '[]', ?11, '', ?12, ?12, ?13) RETURNING id",
        values![
            source,
            &key.source_id,
            &slug,
            &card.title,
            &codec::list(&card.alternative_titles),
            &card.description,
            card.year,
            card.status.map(SeriesStatus::as_str),
            &card.poster,
            &codec::list(&card.genres),
            // A card does not say where it came from; whoever knows may replace it.
            codec::origin(MetadataOrigin::MaterialData),
            now,
            &search::text_of(&card.title, &card.alternative_titles)
        ],
        |row| row.get(0),
    )
}

fn update_card(session: &Session<'_>, row: i64, card: &Card, now: i64) -> Result<(), SqlError> {
    session
        .execute(
            "UPDATE series SET title = ?2, alternative_titles = ?3, description = ?4, year = ?5, status = ?6, \
             poster = ?7, genres = ?8, fingerprint = '', updated_at = ?9, search_text = ?10 WHERE id = ?1",
            values![
                row,
                &card.title,
                &codec::list(&card.alternative_titles),
                &card.description,
                card.year,
                card.status.map(SeriesStatus::as_str),
                &card.poster,
                &codec::list(&card.genres),
                now,
                &search::text_of(&card.title, &card.alternative_titles)
            ],
        )
        .map(drop)
}

fn touch(session: &Session<'_>, series: i64, now: i64) -> Result<(), SqlError> {
    session.execute("UPDATE series SET fingerprint = '', updated_at = ?2 WHERE id = ?1", values![series, now]).map(drop)
}

fn episode(session: &Session<'_>, source: i64, series: i64, id: &str) -> Result<Option<KnownEpisode>, SqlError> {
    session.first(
        "SELECT id, source_episode_id, season, key, number, title, class, is_active, disabled_by IS NOT NULL, \
             series_id FROM episode WHERE source = ?1 AND source_episode_id = ?2",
        values![source, id],
        |row| Ok(KnownEpisode { own: row.get::<i64>(9)? == series, episode: read::episode(row)? }),
    )
}

fn stored_video(session: &Session<'_>, episode: i64, key: &VideoKey) -> Result<Option<StoredVideo>, SqlError> {
    session.first(
        "SELECT id, episode_id, release_id, player_type, player_source, url, priority, is_active, \
             disabled_by IS NOT NULL FROM video WHERE episode_id = ?1 AND url = ?2 AND player_source = ?3",
        values![episode, &key.url, &key.player_source],
        read::video,
    )
}

/// The first of these episodes that another series than this one has.
pub fn foreign_episode(session: &Session<'_>, key: &TitleKey, ids: &[&str]) -> Result<Option<String>, SqlError> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let sql = format!(
        "SELECT value FROM (SELECT w.value, (SELECT r.source_id FROM episode e JOIN series r ON r.id = e.series_id \
         WHERE e.source = (SELECT id FROM source WHERE name = ?1) AND e.source_episode_id = w.value LIMIT 1) AS series \
         FROM {}) AS found WHERE series <> ?2",
        session.engine().texts("?3")
    );
    let found: Vec<String> = session.query(&sql, values![&key.source_name, &key.source_id, &ids], |row| row.get(0))?;
    Ok(found.into_iter().min())
}
