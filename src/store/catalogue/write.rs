//! Applying [`Changes`] inside the transaction that read the title.

use rusqlite::{Connection, named_params, params};

use super::changes::{Changes, EpisodeRow, Put, ReleaseRow, RowRef, SeriesPut, VideoRow};
use super::{TitleKey, codec};
use crate::model::{Character, MetadataOrigin, Series};
use crate::store::sqlite::signed;

pub(super) fn source_row(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    if let Some(row) = super::read::source_row(connection, name)? {
        return Ok(row);
    }
    connection.prepare_cached("INSERT INTO source (name) VALUES (?1)")?.insert([name])
}

/// Writes everything; `now` (milliseconds since 1970) is the time of all rows touched.
pub(super) fn apply(connection: &Connection, key: &TitleKey, changes: &Changes, now: i64) -> rusqlite::Result<()> {
    let source = source_row(connection, &key.source_name)?;
    let Some(series) = put_series(connection, source, key, changes, now)? else { return Ok(()) };
    let episodes = changes
        .episodes
        .iter()
        .map(|put| put_episode(connection, source, series, put, now))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    switch_off(
        connection,
        "UPDATE episode SET is_active = 0, updated_at = ?2 WHERE id = ?1",
        &changes.episodes_off,
        now,
    )?;
    let releases = changes
        .releases
        .iter()
        .map(|put| put_release(connection, series, put, now))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    switch_off(
        connection,
        "UPDATE release SET is_active = 0, updated_at = ?2 WHERE id = ?1",
        &changes.releases_off,
        now,
    )?;
    switch_off(connection, "UPDATE video SET is_active = 0, updated_at = ?2 WHERE id = ?1", &changes.videos_off, now)?;
    for put in &changes.videos {
        put_video(connection, put, &episodes, &releases, now)?;
    }
    put_characters(connection, source, series, changes, now)
}

fn put_series(
    connection: &Connection,
    source: i64,
    key: &TitleKey,
    changes: &Changes,
    now: i64,
) -> rusqlite::Result<Option<i64>> {
    match &changes.series {
        SeriesPut::None => Ok(None),
        SeriesPut::Insert { series, origin, slug } => {
            connection
                .prepare_cached(
                    "INSERT INTO series (source, source_id, slug, fingerprint, title, alternative_titles, description, \
                     year, status, poster, genres, kind, score, rating, duration_minutes, episodes_total, \
                     episodes_aired, next_episode_at, aired_on, released_on, studios, franchise, season, imdb_id, \
                     kinopoisk_id, origin, created_at, updated_at) \
                     VALUES (?1, ?2, ?3, ?4, :title, :alternative_titles, :description, :year, :status, :poster, \
                     :genres, :kind, :score, :rating, :duration_minutes, :episodes_total, :episodes_aired, \
                     :next_episode_at, :aired_on, :released_on, :studios, :franchise, :season, :imdb_id, \
                     :kinopoisk_id, :origin, :now, :now)",
                )
                .and_then(|mut statement| {
                    let slug = free_slug(connection, slug)?;
                    statement.raw_bind_parameter(1, source)?;
                    statement.raw_bind_parameter(2, &key.source_id)?;
                    statement.raw_bind_parameter(3, slug)?;
                    statement.raw_bind_parameter(4, &changes.fingerprint)?;
                    bind_series(&mut statement, series, *origin, now)?;
                    statement.raw_execute()
                })?;
            Ok(Some(connection.last_insert_rowid()))
        }
        SeriesPut::Update { row, series, origin } => {
            connection
                .prepare_cached(
                    "UPDATE series SET fingerprint = ?2, title = :title, alternative_titles = :alternative_titles, \
                     description = :description, year = :year, status = :status, poster = :poster, genres = :genres, \
                     kind = :kind, score = :score, rating = :rating, duration_minutes = :duration_minutes, \
                     episodes_total = :episodes_total, episodes_aired = :episodes_aired, \
                     next_episode_at = :next_episode_at, aired_on = :aired_on, released_on = :released_on, \
                     studios = :studios, franchise = :franchise, season = :season, imdb_id = :imdb_id, \
                     kinopoisk_id = :kinopoisk_id, origin = :origin, updated_at = :now WHERE id = ?1",
                )
                .and_then(|mut statement| {
                    statement.raw_bind_parameter(1, row)?;
                    statement.raw_bind_parameter(2, &changes.fingerprint)?;
                    bind_series(&mut statement, series, *origin, now)?;
                    statement.raw_execute()
                })?;
            Ok(Some(*row))
        }
        SeriesPut::Keep { row } => {
            connection
                .prepare_cached("UPDATE series SET fingerprint = ?2, updated_at = ?3 WHERE id = ?1")?
                .execute(params![row, changes.fingerprint, now])?;
            Ok(Some(*row))
        }
    }
}

fn bind_series(
    statement: &mut rusqlite::CachedStatement<'_>,
    series: &Series,
    origin: MetadataOrigin,
    now: i64,
) -> rusqlite::Result<()> {
    let signals = &series.signals;
    let values: &[(&str, &dyn rusqlite::ToSql)] = named_params! {
        ":title": series.title,
        ":alternative_titles": codec::list(&series.alternative_titles),
        ":description": series.description,
        ":year": series.year,
        ":status": series.status.map(crate::model::SeriesStatus::as_str),
        ":poster": series.poster,
        ":genres": codec::list(&series.genres),
        ":kind": signals.kind,
        ":score": signals.score,
        ":rating": signals.rating,
        ":duration_minutes": signals.duration_minutes,
        ":episodes_total": signals.episodes_total,
        ":episodes_aired": signals.episodes_aired,
        ":next_episode_at": signals.next_episode_at.map(jiff::Timestamp::as_millisecond),
        ":aired_on": signals.aired_on.map(codec::date),
        ":released_on": signals.released_on.map(codec::date),
        ":studios": codec::list(&signals.studios),
        ":franchise": signals.franchise,
        ":season": signals.season,
        ":imdb_id": signals.imdb_id,
        ":kinopoisk_id": signals.kinopoisk_id,
        ":origin": codec::origin(origin),
        ":now": now,
    };
    for (name, value) in values {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

/// `slug`, or `slug-1`, `slug-2` … whichever is free first. One query even when hundreds share a title.
pub(super) fn free_slug(connection: &Connection, slug: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM series WHERE slug = ?1")?;
    if !statement.exists([slug])? {
        return Ok(slug.to_owned());
    }
    // The first gap in the numbers that are taken; `;` is the character after `:`, the first after the digits.
    let mut taken = connection
        .prepare_cached(
            "SELECT substr(slug, length(?1) + 2) FROM series WHERE slug >= ?1 || '-0' AND slug < ?1 || '-:'",
        )?
        .query_map([slug], |row| row.get::<_, String>(0))?
        .filter_map(|text| text.map(|text| text.parse::<u64>().ok()).transpose())
        .collect::<rusqlite::Result<Vec<_>>>()?;
    taken.sort_unstable();
    let mut free = 1;
    for number in taken {
        if number == free {
            free += 1;
        }
    }
    Ok(format!("{slug}-{free}"))
}

pub(super) fn put_episode(
    connection: &Connection,
    source: i64,
    series: i64,
    put: &Put<EpisodeRow>,
    now: i64,
) -> rusqlite::Result<i64> {
    let data = &put.data;
    let class = codec::episode_class(data.class);
    let active = data.switch.is_active();
    if let Some(row) = put.row {
        connection
            .prepare_cached(
                "UPDATE episode SET season = ?2, key = ?3, number = ?4, title = ?5, class = ?6, is_active = ?7, \
                 updated_at = ?8 WHERE id = ?1",
            )?
            .execute(params![row, data.season, data.key, data.number, data.title, class, active, now])?;
        return Ok(row);
    }
    connection
        .prepare_cached(
            "INSERT INTO episode (series_id, source, source_episode_id, season, key, number, title, class, is_active, \
             created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
        )?
        .insert(params![
            series,
            source,
            data.source_episode_id,
            data.season,
            data.key,
            data.number,
            data.title,
            class,
            active,
            now
        ])
}

fn put_release(connection: &Connection, series: i64, put: &Put<ReleaseRow>, now: i64) -> rusqlite::Result<i64> {
    let data = &put.data;
    let sql = if put.row.is_some() {
        "UPDATE release SET translation_id = ?2, title = ?3, kind = ?4, material_id = ?5, priority = ?6, quality = ?7, \
         camrip = ?8, episodes = ?9, blocked_countries = ?10, blocked_seasons = ?11, source_updated_at = ?12, \
         is_active = 1, updated_at = ?13 WHERE id = ?1"
    } else {
        "INSERT INTO release (series_id, translation_id, title, kind, material_id, priority, quality, camrip, episodes, \
         blocked_countries, blocked_seasons, source_updated_at, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)"
    };
    connection.prepare_cached(sql)?.execute(params![
        put.row.unwrap_or(series),
        data.translation_id.0,
        data.title,
        codec::translation_kind(data.kind),
        data.material_id,
        data.priority,
        data.quality,
        data.camrip,
        data.episodes,
        codec::list(&data.blocked_countries),
        codec::list(&data.blocked_seasons),
        data.source_updated_at,
        now,
    ])?;
    Ok(put.row.unwrap_or_else(|| connection.last_insert_rowid()))
}

pub(super) fn put_video(
    connection: &Connection,
    put: &Put<VideoRow>,
    episodes: &[i64],
    releases: &[i64],
    now: i64,
) -> rusqlite::Result<()> {
    let data = &put.data;
    // A reference that points nowhere becomes NULL, which the table refuses for episodes.
    let episode = resolve(data.episode, episodes);
    let release = data.release.and_then(|release| resolve(release, releases));
    let active = data.switch.is_active();
    if let Some(row) = put.row {
        connection
            .prepare_cached(
                "UPDATE video SET release_id = ?2, player_type = ?3, priority = ?4, is_active = ?5, updated_at = ?6 \
                 WHERE id = ?1",
            )?
            .execute(params![row, release, data.player_type, data.priority, active, now])?;
    } else {
        connection
            .prepare_cached(
                "INSERT INTO video (episode_id, release_id, player_type, player_source, url, priority, is_active, \
                 created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
            )?
            .execute(params![
                episode,
                release,
                data.player_type,
                data.player_source,
                data.url,
                data.priority,
                active,
                now
            ])?;
    }
    Ok(())
}

fn resolve(reference: RowRef, new: &[i64]) -> Option<i64> {
    match reference {
        RowRef::Stored(row) => Some(row),
        RowRef::New(index) => new.get(index).copied(),
    }
}

fn switch_off(connection: &Connection, sql: &str, rows: &[i64], now: i64) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        statement.execute([row, &now])?;
    }
    Ok(())
}

fn put_characters(
    connection: &Connection,
    source: i64,
    series: i64,
    changes: &Changes,
    now: i64,
) -> rusqlite::Result<()> {
    for Character { id, name, russian, image, .. } in &changes.characters {
        // A character is shared by many series: what this one does not know, another may have told.
        connection
            .prepare_cached(
                "INSERT INTO character (source, source_id, name, russian, image, created_at, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (source, source_id) DO UPDATE SET \
                 name = excluded.name, russian = coalesce(excluded.russian, russian), \
                 image = coalesce(excluded.image, image), updated_at = excluded.updated_at \
                 WHERE name IS NOT excluded.name OR russian IS NOT coalesce(excluded.russian, russian) \
                 OR image IS NOT coalesce(excluded.image, image)",
            )?
            .execute(params![source, signed(*id)?, name, russian, image, now])?;
    }
    for (id, role) in &changes.character_links {
        connection
            .prepare_cached(
                "INSERT INTO series_character (series_id, character_id, role) \
                 SELECT ?1, id, ?4 FROM character WHERE source = ?2 AND source_id = ?3 \
                 ON CONFLICT (series_id, character_id) DO UPDATE SET role = excluded.role",
            )?
            .execute(params![series, source, signed(*id)?, codec::role(*role)])?;
    }
    for id in &changes.characters_unlinked {
        connection
            .prepare_cached(
                "DELETE FROM series_character WHERE series_id = ?1 AND character_id = \
                 (SELECT id FROM character WHERE source = ?2 AND source_id = ?3)",
            )?
            .execute(params![series, source, signed(*id)?])?;
    }
    Ok(())
}
