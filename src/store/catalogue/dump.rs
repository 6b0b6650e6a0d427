//! The catalogue as text: the same content gives the same bytes, whatever the order of imports, the time or the engine.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::codec;
use crate::store::sql::{Row, Session, SqlError};

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    List,
    Int,
    Real,
    Bool,
}

use Kind::{Bool, Int, List, Real, Text};

/// One query for each table, and the names and kinds of its columns; ordered by natural keys. `CROSS JOIN` keeps SQLite
/// to the written order of tables, which is that of the indexes: nothing has to be sorted.
struct Table {
    name: &'static str,
    sql: &'static str,
    columns: &'static [(&'static str, Kind)],
}

const TABLES: [Table; 11] = [
    Table {
        name: "series",
        sql: "SELECT s.name, r.source_id, r.slug, r.title, r.alternative_titles, r.description, r.year, r.status, \
              r.poster, r.genres, r.kind, r.score, r.rating, r.duration_minutes, r.episodes_total, r.episodes_aired, \
              r.next_episode_at, r.aired_on, r.released_on, r.studios, r.franchise, r.season, r.imdb_id, \
              r.kinopoisk_id, r.origin, r.fingerprint, r.is_active, r.admin_modified \
              FROM source s CROSS JOIN series r WHERE r.source = s.id ORDER BY s.name, r.source_id",
        columns: &[
            ("source", Text),
            ("source_id", Text),
            ("slug", Text),
            ("title", Text),
            ("alternative_titles", List),
            ("description", Text),
            ("year", Int),
            ("status", Text),
            ("poster", Text),
            ("genres", List),
            ("kind", Text),
            ("score", Real),
            ("rating", Text),
            ("duration_minutes", Int),
            ("episodes_total", Int),
            ("episodes_aired", Int),
            ("next_episode_at", Int),
            ("aired_on", Text),
            ("released_on", Text),
            ("studios", List),
            ("franchise", Text),
            ("season", Text),
            ("imdb_id", Text),
            ("kinopoisk_id", Text),
            ("origin", Text),
            ("fingerprint", Text),
            ("is_active", Bool),
            ("admin_modified", Bool),
        ],
    },
    Table {
        name: "episode",
        sql: "SELECT s.name, r.source_id, e.source_episode_id, e.season, e.key, e.number, e.title, e.class, \
              e.is_active, e.disabled_by \
              FROM source s CROSS JOIN episode e CROSS JOIN series r WHERE e.source = s.id AND r.id = e.series_id \
              ORDER BY s.name, e.source_episode_id",
        columns: &[
            ("source", Text),
            ("series", Text),
            ("source_episode_id", Text),
            ("season", Int),
            ("key", Text),
            ("number", Int),
            ("title", Text),
            ("class", Text),
            ("is_active", Bool),
            ("disabled_by", Text),
        ],
    },
    Table {
        name: "release",
        sql: "SELECT s.name, r.source_id, l.translation_id, l.title, l.kind, l.material_id, l.priority, l.quality, \
              l.camrip, l.episodes, l.blocked_countries, l.blocked_seasons, l.source_updated_at, l.is_active \
              FROM source s CROSS JOIN series r CROSS JOIN release l WHERE r.source = s.id AND l.series_id = r.id \
              ORDER BY s.name, r.source_id, l.translation_id",
        columns: &[
            ("source", Text),
            ("series", Text),
            ("translation_id", Int),
            ("title", Text),
            ("kind", Text),
            ("material_id", Text),
            ("priority", Int),
            ("quality", Text),
            ("camrip", Bool),
            ("episodes", Int),
            ("blocked_countries", List),
            ("blocked_seasons", List),
            ("source_updated_at", Int),
            ("is_active", Bool),
        ],
    },
    Table {
        name: "video",
        sql: "SELECT s.name, e.source_episode_id, l.translation_id, v.player_type, v.player_source, v.url, v.priority, \
              v.is_active, v.disabled_by \
              FROM source s CROSS JOIN episode e CROSS JOIN video v LEFT JOIN release l ON l.id = v.release_id \
              WHERE e.source = s.id AND v.episode_id = e.id \
              ORDER BY s.name, e.source_episode_id, coalesce(l.translation_id, -1), v.player_source, v.url",
        columns: &[
            ("source", Text),
            ("source_episode_id", Text),
            ("translation_id", Int),
            ("player_type", Text),
            ("player_source", Text),
            ("url", Text),
            ("priority", Int),
            ("is_active", Bool),
            ("disabled_by", Text),
        ],
    },
    Table {
        name: "character",
        sql: "SELECT s.name, c.source_id, c.name, c.russian, c.image, c.described, c.admin_modified \
              FROM source s CROSS JOIN character c WHERE c.source = s.id ORDER BY s.name, c.source_id",
        columns: &[
            ("source", Text),
            ("source_id", Text),
            ("name", Text),
            ("russian", Text),
            ("image", Text),
            ("described", Bool),
            ("admin_modified", Bool),
        ],
    },
    Table {
        name: "series_character",
        sql: "SELECT s.name, r.source_id, c.source_id, sc.role, sc.role_of_series, sc.role_of_character \
              FROM source s CROSS JOIN series r CROSS JOIN series_character sc CROSS JOIN character c \
              WHERE r.source = s.id AND sc.series_id = r.id AND c.id = sc.character_id \
              ORDER BY s.name, r.source_id, c.source_id",
        columns: &[
            ("source", Text),
            ("series", Text),
            ("character", Text),
            ("role", Text),
            ("role_of_series", Text),
            ("role_of_character", Text),
        ],
    },
    Table {
        name: "pet",
        sql: "SELECT s.name, p.source_id, p.name, p.russian, p.species, p.description, p.image, p.admin_modified \
              FROM pet p JOIN source s ON s.id = p.source ORDER BY s.name, p.source_id",
        columns: &[
            ("source", Text),
            ("source_id", Text),
            ("name", Text),
            ("russian", Text),
            ("species", Text),
            ("description", Text),
            ("image", Text),
            ("admin_modified", Bool),
        ],
    },
    Table {
        name: "pet_owner",
        sql: "SELECT s.name, p.source_id, c.source_id FROM pet_owner o JOIN pet p ON p.id = o.pet_id \
              JOIN character c ON c.id = o.character_id JOIN source s ON s.id = p.source \
              ORDER BY s.name, p.source_id, c.source_id",
        columns: &[("source", Text), ("pet", Text), ("owner", Text)],
    },
    Table {
        name: "series_relation",
        sql: "SELECT s.name, r.source_id, x.kind, t.source_id FROM series_relation x \
              JOIN series r ON r.id = x.series_id JOIN series t ON t.id = x.related_id JOIN source s ON s.id = r.source \
              ORDER BY s.name, r.source_id, x.kind, t.source_id",
        columns: &[("source", Text), ("series", Text), ("kind", Text), ("related", Text)],
    },
    Table {
        name: "image",
        sql: "SELECT i.owner_kind, s.name, o.source_id, i.url, i.is_primary, i.position FROM image i \
              JOIN (SELECT 'series' AS kind, id, source, source_id FROM series \
              UNION ALL SELECT 'character', id, source, source_id FROM character \
              UNION ALL SELECT 'pet', id, source, source_id FROM pet) o ON o.kind = i.owner_kind AND o.id = i.owner_id \
              JOIN source s ON s.id = o.source \
              ORDER BY i.owner_kind, s.name, o.source_id, i.position, i.url",
        columns: &[
            ("owner_kind", Text),
            ("source", Text),
            ("owner", Text),
            ("url", Text),
            ("is_primary", Bool),
            ("position", Int),
        ],
    },
    Table {
        name: "pending_relation",
        sql: "SELECT source_name, kind, from_id, to_kind, to_id, detail FROM pending_relation \
              ORDER BY source_name, kind, from_id, to_kind, to_id, detail",
        columns: &[("source", Text), ("kind", Text), ("from", Text), ("to_kind", Text), ("to", Text), ("detail", Text)],
    },
];

/// The whole catalogue as JSON lines in a fixed order, without row ids and times: equal text = equal catalogue.
pub fn dump(session: &Session<'_>) -> Result<String, SqlError> {
    let mut text = String::new();
    dump_lines(session, |line| {
        text.push_str(line);
        Ok(())
    })?;
    Ok(text)
}

/// The same line by line, each with its end. The order is that of indexes, so memory does not grow with the catalogue.
pub fn dump_lines(session: &Session<'_>, mut take: impl FnMut(&str) -> Result<(), SqlError>) -> Result<(), SqlError> {
    session.take_time()?;
    let mut line = String::new();
    for table in &TABLES {
        session.query(table.sql, &[], |row| {
            line.clear();
            // By hand, because a map would not keep the order of the columns; writing to a string cannot fail.
            let _ = write!(line, "{{\"table\":\"{}\"", table.name);
            for (index, (name, kind)) in table.columns.iter().enumerate() {
                let value = json(row, index, *kind)?;
                let _ = write!(line, ",\"{name}\":{value}");
            }
            line.push_str("}\n");
            take(&line)
        })?;
    }
    Ok(())
}

fn json(row: &Row<'_>, index: usize, kind: Kind) -> Result<Json, SqlError> {
    Ok(match kind {
        Text => row.text_or_null(index)?.into(),
        List => codec::parse_list(row.text(index)?)?.into(),
        Int => row.get::<Option<i64>>(index)?.into(),
        Real => row.get::<Option<f64>>(index)?.into(),
        Bool => row.get::<bool>(index)?.into(),
    })
}
