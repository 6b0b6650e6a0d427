//! What is stored of one title, read with one query for each table.

use super::changes::SeriesRow;
use super::{TitleKey, codec};
use crate::model::{CharacterRole, MetadataOrigin, Signals};
use crate::store::sql::{Row, Session, SqlError, values};

/// A title as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTitle {
    /// The series.
    pub series: StoredSeries,
    /// Its episodes.
    pub episodes: Vec<StoredEpisode>,
    /// Its releases.
    pub releases: Vec<StoredRelease>,
    /// Videos of all its episodes.
    pub videos: Vec<StoredVideo>,
    /// Its characters.
    pub characters: Vec<StoredCharacter>,
}

/// A series' row.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSeries {
    /// Row id.
    pub row: i64,
    /// Slug.
    pub slug: String,
    /// The data.
    pub series: SeriesRow,
    /// Where the data came from.
    pub origin: MetadataOrigin,
    /// A person edited it.
    pub admin_modified: bool,
    /// Of the last import.
    pub fingerprint: String,
}

/// An episode's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEpisode {
    /// Row id.
    pub row: i64,
    /// Unique in the source.
    pub source_episode_id: String,
    /// Season.
    pub season: u32,
    /// Key.
    pub key: String,
    /// Number.
    pub number: u32,
    /// Title.
    pub title: Option<String>,
    /// Class, in the table's word.
    pub class: String,
    /// Visible?
    pub is_active: bool,
    /// A person switched it off.
    pub disabled: bool,
}

/// A release's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRelease {
    /// Row id.
    pub row: i64,
    /// Translation.
    pub translation_id: i64,
    /// Title.
    pub title: String,
    /// Kind, in the table's word.
    pub kind: String,
    /// Material.
    pub material_id: String,
    /// Priority.
    pub priority: i32,
    /// Quality.
    pub quality: Option<String>,
    /// Camera copy.
    pub camrip: bool,
    /// Episodes.
    pub episodes: u32,
    /// Countries.
    pub blocked_countries: Vec<String>,
    /// Seasons.
    pub blocked_seasons: Vec<String>,
    /// Milliseconds since 1970.
    pub source_updated_at: Option<i64>,
    /// Still offered by the source?
    pub is_active: bool,
}

/// A video's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVideo {
    /// Row id.
    pub row: i64,
    /// Row of the episode.
    pub episode_row: i64,
    /// Row of the release.
    pub release_row: Option<i64>,
    /// Player type.
    pub player_type: String,
    /// Player source.
    pub player_source: String,
    /// Link.
    pub url: String,
    /// Priority.
    pub priority: i32,
    /// Visible?
    pub is_active: bool,
    /// A person switched it off.
    pub disabled: bool,
}

/// A character of the series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCharacter {
    /// The source's id.
    pub source_id: String,
    /// Name.
    pub name: String,
    /// Russian name.
    pub russian: Option<String>,
    /// Image.
    pub image: Option<String>,
    /// The role that the series states; `None` = only the character says that it is in the series.
    pub role: Option<CharacterRole>,
    /// Its own record was imported: what a series says only fills gaps.
    pub described: bool,
    /// A person edited it.
    pub admin_modified: bool,
}

pub(super) fn source_row(session: &Session<'_>, name: &str) -> Result<Option<i64>, SqlError> {
    session.first("SELECT id FROM source WHERE name = ?1", values![name], |row| row.get(0))
}

/// Is this the record that was imported last? `Some(true)`: it is, and staging still has an open row of the title.
pub fn same_fingerprint(session: &Session<'_>, key: &TitleKey, fingerprint: &str) -> Result<Option<bool>, SqlError> {
    session.first(
        // Not as a join: a server that believes the table small may look for the source alone.
        "SELECT EXISTS (SELECT 1 FROM parsed_series p WHERE p.source_name = ?1 AND p.external_id = ?2 \
         AND p.shape = '' AND p.state <> 'processed') \
         FROM series r WHERE r.source = (SELECT id FROM source WHERE name = ?1) AND r.source_id = ?2 \
         AND r.fingerprint = ?3",
        values![&key.source_name, &key.source_id, fingerprint],
        |row| row.get(0),
    )
}

/// What is stored of a title.
pub fn title(session: &Session<'_>, key: &TitleKey) -> Result<Option<StoredTitle>, SqlError> {
    let Some(source) = source_row(session, &key.source_name)? else { return Ok(None) };
    let series = session.first("SELECT id, slug, fingerprint, title, alternative_titles, description, year, status, poster, genres, kind, score, \
             rating, duration_minutes, episodes_total, episodes_aired, next_episode_at, aired_on, released_on, studios, \
             franchise, season, imdb_id, kinopoisk_id, origin, admin_modified \
             FROM series WHERE source = ?1 AND source_id = ?2", values![source, &key.source_id], series)?;
    let Some(series) = series else { return Ok(None) };
    let row = series.row;
    Ok(Some(StoredTitle {
        series,
        episodes: episodes(session, row)?,
        releases: releases(session, row)?,
        videos: videos(session, row)?,
        characters: characters(session, row)?,
    }))
}

fn series(row: &Row<'_>) -> Result<StoredSeries, SqlError> {
    let text = |index: usize| row.text(index);
    let date = |index: usize| row.text_or_null(index)?.map(codec::parse_date).transpose();
    Ok(StoredSeries {
        row: row.get(0)?,
        slug: row.get(1)?,
        series: SeriesRow {
            title: row.get(3)?,
            alternative_titles: codec::parse_list(text(4)?)?,
            description: row.get(5)?,
            year: row.get(6)?,
            status: row.text_or_null(7)?.map(codec::parse_status).transpose()?,
            poster: row.get(8)?,
            genres: codec::parse_list(text(9)?)?,
            signals: Signals {
                kind: row.get(10)?,
                score: row.get(11)?,
                rating: row.get(12)?,
                duration_minutes: row.get(13)?,
                episodes_total: row.get(14)?,
                episodes_aired: row.get(15)?,
                next_episode_at: row.get::<Option<i64>>(16)?.map(codec::parse_millis).transpose()?,
                aired_on: date(17)?,
                released_on: date(18)?,
                studios: codec::parse_list(text(19)?)?,
                franchise: row.get(20)?,
                season: row.get(21)?,
                imdb_id: row.get(22)?,
                kinopoisk_id: row.get(23)?,
            },
        },
        origin: codec::parse_origin(text(24)?)?,
        admin_modified: row.get(25)?,
        fingerprint: row.get(2)?,
    })
}

fn episodes(session: &Session<'_>, series: i64) -> Result<Vec<StoredEpisode>, SqlError> {
    session.query(
        "SELECT id, source_episode_id, season, key, number, title, class, is_active, disabled_by IS NOT NULL \
             FROM episode WHERE series_id = ?1",
        values![series],
        episode,
    )
}

pub(super) fn episode(row: &Row<'_>) -> Result<StoredEpisode, SqlError> {
    Ok(StoredEpisode {
        row: row.get(0)?,
        source_episode_id: row.get(1)?,
        season: row.get(2)?,
        key: row.get(3)?,
        number: row.get(4)?,
        title: row.get(5)?,
        class: row.get(6)?,
        is_active: row.get(7)?,
        disabled: row.get(8)?,
    })
}

fn releases(session: &Session<'_>, series: i64) -> Result<Vec<StoredRelease>, SqlError> {
    session.query(
        "SELECT id, translation_id, title, kind, material_id, priority, quality, camrip, episodes, \
             blocked_countries, blocked_seasons, source_updated_at, is_active FROM release WHERE series_id = ?1",
        values![series],
        |row| {
            Ok(StoredRelease {
                row: row.get(0)?,
                translation_id: row.get(1)?,
                title: row.get(2)?,
                kind: row.get(3)?,
                material_id: row.get(4)?,
                priority: row.get(5)?,
                quality: row.get(6)?,
                camrip: row.get(7)?,
                episodes: row.get(8)?,
                blocked_countries: codec::parse_list(row.text(9)?)?,
                blocked_seasons: codec::parse_list(row.text(10)?)?,
                source_updated_at: row.get(11)?,
                is_active: row.get(12)?,
            })
        },
    )
}

fn videos(session: &Session<'_>, series: i64) -> Result<Vec<StoredVideo>, SqlError> {
    session.query(
        "SELECT v.id, v.episode_id, v.release_id, v.player_type, v.player_source, v.url, v.priority, v.is_active, \
             v.disabled_by IS NOT NULL FROM episode e JOIN video v ON v.episode_id = e.id WHERE e.series_id = ?1",
        values![series],
        video,
    )
}

pub(super) fn video(row: &Row<'_>) -> Result<StoredVideo, SqlError> {
    Ok(StoredVideo {
        row: row.get(0)?,
        episode_row: row.get(1)?,
        release_row: row.get(2)?,
        player_type: row.get(3)?,
        player_source: row.get(4)?,
        url: row.get(5)?,
        priority: row.get(6)?,
        is_active: row.get(7)?,
        disabled: row.get(8)?,
    })
}

fn characters(session: &Session<'_>, series: i64) -> Result<Vec<StoredCharacter>, SqlError> {
    session.query(
        "SELECT c.source_id, c.name, c.russian, c.image, sc.role_of_series, c.described, c.admin_modified \
             FROM series_character sc \
             JOIN character c ON c.id = sc.character_id WHERE sc.series_id = ?1",
        values![series],
        character,
    )
}

fn character(row: &Row<'_>) -> Result<StoredCharacter, SqlError> {
    Ok(StoredCharacter {
        source_id: row.get(0)?,
        name: row.get(1)?,
        russian: row.get(2)?,
        image: row.get(3)?,
        role: row.text_or_null(4)?.map(codec::parse_role),
        described: row.get(5)?,
        admin_modified: row.get(6)?,
    })
}
