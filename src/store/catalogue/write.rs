//! Applying [`Changes`] inside the transaction that read the title.

use super::changes::{Changes, EpisodeRow, Put, ReleaseRow, RowRef, SeriesPut, SeriesRow, VideoRow};
use super::{TitleKey, codec, persons, search};
use crate::model::{MetadataOrigin, SeriesStatus};
use crate::store::sql::{Session, SqlError, Value, values};

pub(super) fn source_row(session: &Session<'_>, name: &str) -> Result<i64, SqlError> {
    if let Some(row) = super::read::source_row(session, name)? {
        return Ok(row);
    }
    // Another transaction may be about to make it, too.
    session.execute("INSERT INTO source (name) VALUES (?1) ON CONFLICT (name) DO NOTHING", values![name])?;
    session.one("SELECT id FROM source WHERE name = ?1", values![name], |row| row.get(0))
}

/// Writes everything; `now` (milliseconds since 1970) is the time of all rows touched. Gives the row of the series.
pub fn apply(session: &Session<'_>, key: &TitleKey, changes: &Changes, now: i64) -> Result<Option<i64>, SqlError> {
    let source = source_row(session, &key.source_name)?;
    let Some(series) = put_series(session, source, key, changes, now)? else { return Ok(None) };
    let episodes = put_episodes(session, source, series, &changes.episodes, now)?;
    switch_off(
        session,
        "UPDATE episode SET is_active = FALSE, updated_at = ?2 WHERE id = ?1",
        &changes.episodes_off,
        now,
    )?;
    let releases = put_releases(session, series, &changes.releases, now)?;
    switch_off(
        session,
        "UPDATE release SET is_active = FALSE, updated_at = ?2 WHERE id = ?1",
        &changes.releases_off,
        now,
    )?;
    switch_off(session, "UPDATE video SET is_active = FALSE, updated_at = ?2 WHERE id = ?1", &changes.videos_off, now)?;
    put_videos(session, &changes.videos, &episodes, &releases, now)?;
    persons::put_cast(session, source, series, key, changes, now)?;
    Ok(Some(series))
}

fn put_series(
    session: &Session<'_>,
    source: i64,
    key: &TitleKey,
    changes: &Changes,
    now: i64,
) -> Result<Option<i64>, SqlError> {
    match &changes.series {
        SeriesPut::None => Ok(None),
        SeriesPut::Insert { series, origin, slug } => {
            let slug = free_slug(session, slug)?;
            let own = [Value::from(source), Value::from(&key.source_id), Value::from(&slug)];
            let texts = SeriesTexts::of(series);
            let values: Vec<_> =
                own.into_iter().chain(texts.values(series, *origin, &changes.fingerprint, now)).collect();
            session
                .one(
                    "INSERT INTO series (source, source_id, slug, title, alternative_titles, description, year, \
                     status, poster, genres, kind, score, rating, duration_minutes, episodes_total, episodes_aired, \
                     next_episode_at, aired_on, released_on, studios, franchise, season, imdb_id, kinopoisk_id, origin, \
                     fingerprint, updated_at, search_text, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
                     ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?27) \
                     RETURNING id",
                    &values,
                    |row| row.get(0),
                )
                .map(Some)
        }
        SeriesPut::Update { row, series, origin } => {
            let texts = SeriesTexts::of(series);
            let values: Vec<_> = std::iter::once(Value::from(*row))
                .chain(texts.values(series, *origin, &changes.fingerprint, now))
                .collect();
            session.execute(
                "UPDATE series SET title = ?2, alternative_titles = ?3, description = ?4, year = ?5, status = ?6, \
                 poster = ?7, genres = ?8, kind = ?9, score = ?10, rating = ?11, duration_minutes = ?12, \
                 episodes_total = ?13, episodes_aired = ?14, next_episode_at = ?15, aired_on = ?16, released_on = ?17, \
                 studios = ?18, franchise = ?19, season = ?20, imdb_id = ?21, kinopoisk_id = ?22, origin = ?23, \
                 fingerprint = ?24, updated_at = ?25, search_text = ?26 WHERE id = ?1",
                &values,
            )?;
            Ok(Some(*row))
        }
        SeriesPut::Keep { row } => {
            session.execute(
                "UPDATE series SET fingerprint = ?2, updated_at = ?3 WHERE id = ?1",
                values![*row, &changes.fingerprint, now],
            )?;
            Ok(Some(*row))
        }
    }
}

/// The columns of a series that are texts of lists and dates.
struct SeriesTexts {
    alternative_titles: String,
    genres: String,
    studios: String,
    aired_on: Option<String>,
    released_on: Option<String>,
    search_text: String,
}

impl SeriesTexts {
    fn of(series: &SeriesRow) -> Self {
        Self {
            alternative_titles: codec::list(&series.alternative_titles),
            genres: codec::list(&series.genres),
            studios: codec::list(&series.signals.studios),
            aired_on: series.signals.aired_on.map(codec::date),
            released_on: series.signals.released_on.map(codec::date),
            search_text: search::text_of(&series.title, &series.alternative_titles),
        }
    }

    /// Everything an import may change, in the order of both statements above.
    fn values<'a>(
        &'a self,
        series: &'a SeriesRow,
        origin: MetadataOrigin,
        fingerprint: &'a str,
        now: i64,
    ) -> [Value<'a>; 25] {
        let signals = &series.signals;
        [
            Value::from(&series.title),
            Value::from(&self.alternative_titles),
            Value::from(&series.description),
            Value::from(series.year),
            Value::from(series.status.map(SeriesStatus::as_str)),
            Value::from(&series.poster),
            Value::from(&self.genres),
            Value::from(&signals.kind),
            Value::from(signals.score),
            Value::from(&signals.rating),
            Value::from(signals.duration_minutes),
            Value::from(signals.episodes_total),
            Value::from(signals.episodes_aired),
            Value::from(signals.next_episode_at.map(jiff::Timestamp::as_millisecond)),
            Value::from(&self.aired_on),
            Value::from(&self.released_on),
            Value::from(&self.studios),
            Value::from(&signals.franchise),
            Value::from(&signals.season),
            Value::from(&signals.imdb_id),
            Value::from(&signals.kinopoisk_id),
            Value::from(codec::origin(origin)),
            Value::from(fingerprint),
            Value::from(now),
            Value::from(&self.search_text),
        ]
    }
}

/// `slug`, or `slug-1`, `slug-2` … whichever is free first. One query even when hundreds share a title.
pub(super) fn free_slug(session: &Session<'_>, slug: &str) -> Result<String, SqlError> {
    // Two new series of one name at the same moment must not get the same slug.
    session.lock(&format!("slug {slug}"))?;
    if !session.exists("SELECT 1 FROM series WHERE slug = ?1", values![slug])? {
        return Ok(slug.to_owned());
    }
    // The first gap in the numbers that are taken; `:` is the first character after the digits.
    let after = format!("{slug}-:");
    let first = format!("{slug}-0");
    let mut taken =
        session.query("SELECT slug FROM series WHERE slug >= ?1 AND slug < ?2", values![&first, &after], |row| {
            Ok(row.text(0)?.get(slug.len() + 1..).and_then(|digits| digits.parse::<u64>().ok()))
        })?;
    taken.sort_unstable();
    let mut free = 1;
    for number in taken.into_iter().flatten() {
        if number == free {
            free += 1;
        }
    }
    Ok(format!("{slug}-{free}"))
}

/// Writes episodes; their rows, in order.
pub(super) fn put_episodes(
    session: &Session<'_>,
    source: i64,
    series: i64,
    puts: &[Put<EpisodeRow>],
    now: i64,
) -> Result<Vec<i64>, SqlError> {
    let changed = puts.iter().filter_map(|Put { row, data }| row.map(|row| (row, data))).map(|(row, data)| {
        let (class, active) = (codec::episode_class(data.class), data.switch.is_active());
        values![row, data.season, &data.key, data.number, &data.title, class, active, now].to_vec()
    });
    session.execute_many(
        "UPDATE episode SET season = ?2, key = ?3, number = ?4, title = ?5, class = ?6, is_active = ?7, \
         updated_at = ?8 WHERE id = ?1",
        changed,
    )?;
    let new = puts.iter().filter(|put| put.row.is_none()).map(|Put { data, .. }| {
        let (class, active) = (codec::episode_class(data.class), data.switch.is_active());
        let (id, title) = (&data.source_episode_id, &data.title);
        values![series, source, id, data.season, &data.key, data.number, title, class, active, now].to_vec()
    });
    let new = session.insert_many(
        "INSERT INTO episode (series_id, source, source_episode_id, season, key, number, title, class, is_active, \
         created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) RETURNING id",
        new,
    )?;
    Ok(in_order(puts, new))
}

/// Writes releases; their rows, in order.
fn put_releases(session: &Session<'_>, series: i64, puts: &[Put<ReleaseRow>], now: i64) -> Result<Vec<i64>, SqlError> {
    let blocked: Vec<_> = puts
        .iter()
        .map(|put| (codec::list(&put.data.blocked_countries), codec::list(&put.data.blocked_seasons)))
        .collect();
    let all = || puts.iter().zip(&blocked);
    session.execute_many(
        "UPDATE release SET translation_id = ?2, title = ?3, kind = ?4, material_id = ?5, priority = ?6, quality = ?7, \
         camrip = ?8, episodes = ?9, blocked_countries = ?10, blocked_seasons = ?11, source_updated_at = ?12, \
         is_active = TRUE, updated_at = ?13 WHERE id = ?1",
        all().filter(|(put, _)| put.row.is_some()).map(|(put, lists)| release(put, lists, series, now)),
    )?;
    let new = session.insert_many(
        "INSERT INTO release (series_id, translation_id, title, kind, material_id, priority, quality, camrip, episodes, \
         blocked_countries, blocked_seasons, source_updated_at, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13) RETURNING id",
        all().filter(|(put, _)| put.row.is_none()).map(|(put, lists)| release(put, lists, series, now)),
    )?;
    Ok(in_order(puts, new))
}

/// The values of both statements above.
fn release<'a>(
    put: &'a Put<ReleaseRow>,
    (countries, seasons): &'a (String, String),
    series: i64,
    now: i64,
) -> Vec<Value<'a>> {
    let data = &put.data;
    values![
        put.row.unwrap_or(series),
        data.translation_id.0,
        &data.title,
        codec::translation_kind(data.kind),
        &data.material_id,
        data.priority,
        &data.quality,
        data.camrip,
        data.episodes,
        countries,
        seasons,
        data.source_updated_at,
        now
    ]
    .to_vec()
}

/// The stored rows and the new ones, in the order of the puts.
fn in_order<T>(puts: &[Put<T>], new: Vec<i64>) -> Vec<i64> {
    let mut new = new.into_iter();
    puts.iter().filter_map(|put| put.row.or_else(|| new.next())).collect()
}

pub(super) fn put_videos(
    session: &Session<'_>,
    puts: &[Put<VideoRow>],
    episodes: &[i64],
    releases: &[i64],
    now: i64,
) -> Result<(), SqlError> {
    let release = |data: &VideoRow| data.release.and_then(|release| resolve(release, releases));
    let changed = puts.iter().filter_map(|Put { row, data }| row.map(|row| (row, data))).map(|(row, data)| {
        values![row, release(data), data.player_type.as_ref(), data.priority, data.switch.is_active(), now].to_vec()
    });
    session.execute_many(
        "UPDATE video SET release_id = ?2, player_type = ?3, priority = ?4, is_active = ?5, updated_at = ?6 \
         WHERE id = ?1",
        changed,
    )?;
    let new = puts.iter().filter(|put| put.row.is_none()).map(|Put { data, .. }| {
        values![
            // A reference that points nowhere becomes NULL, which the table refuses for episodes.
            resolve(data.episode, episodes),
            release(data),
            data.player_type.as_ref(),
            data.player_source.as_ref(),
            &data.url,
            data.priority,
            data.switch.is_active(),
            now,
        ]
        .to_vec()
    });
    session
        .execute_many(
            "INSERT INTO video (episode_id, release_id, player_type, player_source, url, priority, is_active, \
             created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
            new,
        )
        .map(drop)
}

fn resolve(reference: RowRef, new: &[i64]) -> Option<i64> {
    match reference {
        RowRef::Stored(row) => Some(row),
        RowRef::New(index) => new.get(index).copied(),
    }
}

fn switch_off(session: &Session<'_>, sql: &str, rows: &[i64], now: i64) -> Result<(), SqlError> {
    if rows.is_empty() {
        return Ok(());
    }
    session.execute_many(sql, rows.iter().map(|row| vec![Value::from(*row), Value::from(now)])).map(drop)
}
