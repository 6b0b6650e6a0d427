//! The catalogue as text: the same content gives the same bytes, whatever the order of imports, the time or the engine.

use rusqlite::Connection;

/// One query for each table; each gives one JSON object a line, ordered by natural keys.
const TABLES: [&str; 6] = [
    "SELECT json_object('table', 'series', 'source', s.name, 'source_id', r.source_id, 'slug', r.slug, 'title', r.title, \
     'alternative_titles', json(r.alternative_titles), 'description', r.description, 'year', r.year, \
     'status', r.status, 'poster', r.poster, 'genres', json(r.genres), 'kind', r.kind, 'score', r.score, \
     'rating', r.rating, 'duration_minutes', r.duration_minutes, 'episodes_total', r.episodes_total, \
     'episodes_aired', r.episodes_aired, 'next_episode_at', r.next_episode_at, 'aired_on', r.aired_on, \
     'released_on', r.released_on, 'studios', json(r.studios), 'franchise', r.franchise, 'season', r.season, \
     'imdb_id', r.imdb_id, 'kinopoisk_id', r.kinopoisk_id, 'origin', r.origin, 'fingerprint', r.fingerprint, \
     'is_active', r.is_active, 'admin_modified', r.admin_modified) \
     FROM series r JOIN source s ON s.id = r.source ORDER BY s.name, length(r.source_id), r.source_id",
    "SELECT json_object('table', 'episode', 'source', s.name, 'series', r.source_id, \
     'source_episode_id', e.source_episode_id, 'season', e.season, 'key', e.key, 'number', e.number, \
     'title', e.title, 'class', e.class, 'is_active', e.is_active, 'disabled_by', e.disabled_by) \
     FROM episode e JOIN series r ON r.id = e.series_id JOIN source s ON s.id = e.source \
     ORDER BY s.name, length(r.source_id), r.source_id, e.season, e.number, e.source_episode_id",
    "SELECT json_object('table', 'release', 'source', s.name, 'series', r.source_id, \
     'translation_id', l.translation_id, 'title', l.title, 'kind', l.kind, 'material_id', l.material_id, \
     'priority', l.priority, 'quality', l.quality, 'camrip', l.camrip, 'episodes', l.episodes, \
     'blocked_countries', json(l.blocked_countries), 'blocked_seasons', json(l.blocked_seasons), \
     'source_updated_at', l.source_updated_at, 'is_active', l.is_active) \
     FROM release l JOIN series r ON r.id = l.series_id JOIN source s ON s.id = r.source \
     ORDER BY s.name, length(r.source_id), r.source_id, l.translation_id",
    "SELECT json_object('table', 'video', 'source', s.name, 'source_episode_id', e.source_episode_id, \
     'translation_id', l.translation_id, 'player_type', v.player_type, 'player_source', v.player_source, \
     'url', v.url, 'priority', v.priority, 'is_active', v.is_active, 'disabled_by', v.disabled_by) \
     FROM video v JOIN episode e ON e.id = v.episode_id JOIN source s ON s.id = e.source \
     LEFT JOIN release l ON l.id = v.release_id \
     ORDER BY s.name, e.source_episode_id, l.translation_id, v.player_source, v.url",
    "SELECT json_object('table', 'character', 'source', s.name, 'source_id', c.source_id, 'name', c.name, \
     'russian', c.russian, 'image', c.image) \
     FROM character c JOIN source s ON s.id = c.source ORDER BY s.name, c.source_id",
    "SELECT json_object('table', 'series_character', 'source', s.name, 'series', r.source_id, \
     'character', c.source_id, 'role', sc.role) \
     FROM series_character sc JOIN series r ON r.id = sc.series_id JOIN character c ON c.id = sc.character_id \
     JOIN source s ON s.id = r.source ORDER BY s.name, length(r.source_id), r.source_id, c.source_id",
];

pub(super) fn dump(connection: &Connection) -> rusqlite::Result<String> {
    let mut text = String::new();
    for sql in TABLES {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            text.push_str(row.get_ref(0)?.as_str()?);
            text.push('\n');
        }
    }
    Ok(text)
}
