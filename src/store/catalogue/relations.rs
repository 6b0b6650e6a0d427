//! Relations between entities: what is linked, and what one end has said of another that is not there yet.
//!
//! Whoever states a relation reads what it stated before ([`stated`]), and adds ([`state`]) or takes back
//! ([`take_back`]) the difference. A relation whose other end is missing is kept aside; when that end arrives, it
//! [`claim`]s what waits for it and [`link`]s.

use super::{TitleKey, read};
use crate::model::RecordKind;
use crate::store::sql::{Row, Session, SqlError, Value, values};

/// Who states what of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PendingKind {
    /// A release waits in staging for its series.
    Release,
    /// A series names a character; the detail is a role.
    Cast,
    /// A character names a series; the detail is a role.
    Appearance,
    /// A series names another one; the detail says what that one is to it.
    Series,
    /// A pet names its owner.
    Owner,
}

impl PendingKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Cast => "cast",
            Self::Appearance => "appearance",
            Self::Series => "series",
            Self::Owner => "owner",
        }
    }

    fn parse(word: &str) -> Result<Self, SqlError> {
        [Self::Release, Self::Cast, Self::Appearance, Self::Series, Self::Owner]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| SqlError::Unreadable(format!("a stored relation is unreadable: `{word}`")))
    }

    /// What states it.
    pub fn from_kind(self) -> RecordKind {
        match self {
            Self::Release => RecordKind::Release,
            Self::Cast | Self::Series => RecordKind::Series,
            Self::Appearance => RecordKind::Character,
            Self::Owner => RecordKind::Pet,
        }
    }

    /// What it is stated of.
    pub fn to_kind(self) -> RecordKind {
        match self {
            Self::Release | Self::Appearance | Self::Series => RecordKind::Series,
            Self::Cast | Self::Owner => RecordKind::Character,
        }
    }
}

/// One relation as its stating end sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stated {
    /// The source's id of the other end.
    pub other: String,
    /// A role, or what the other is; may be empty.
    pub detail: String,
}

/// One relation that waits for an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub kind: PendingKind,
    /// The source's id of the stating end.
    pub from_id: String,
    /// See [`Stated`].
    pub detail: String,
}

/// An entity that states relations: its natural key and its row.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Its source.
    pub source_name: &'a str,
    /// The source's id of it.
    pub source_id: &'a str,
    /// Its row.
    pub row: i64,
}

/// The row of an entity.
pub fn row_of(session: &Session<'_>, kind: RecordKind, key: &TitleKey) -> Result<Option<i64>, SqlError> {
    let table = match kind {
        RecordKind::Series => "series",
        RecordKind::Character => "character",
        RecordKind::Pet => "pet",
        // Releases have no id of their own in the tables.
        RecordKind::Release => return Ok(None),
    };
    session.first(
        &format!("SELECT e.id FROM source s JOIN {table} e ON e.source = s.id WHERE s.name = ?1 AND e.source_id = ?2"),
        values![&key.source_name, &key.source_id],
        |row| row.get(0),
    )
}

/// Everything that this end has stated, linked or waiting.
pub fn stated(session: &Session<'_>, kind: PendingKind, from: End<'_>) -> Result<Vec<Stated>, SqlError> {
    let linked = match kind {
        PendingKind::Release => "",
        PendingKind::Cast => {
            "SELECT c.source_id, x.role_of_series FROM series_character x JOIN character c ON c.id = x.character_id \
             WHERE x.series_id = ?3 AND x.role_of_series IS NOT NULL UNION ALL "
        }
        PendingKind::Appearance => {
            "SELECT r.source_id, x.role_of_character FROM series_character x JOIN series r ON r.id = x.series_id \
             WHERE x.character_id = ?3 AND x.role_of_character IS NOT NULL UNION ALL "
        }
        PendingKind::Series => {
            "SELECT r.source_id, x.kind FROM series_relation x JOIN series r ON r.id = x.related_id \
             WHERE x.series_id = ?3 UNION ALL "
        }
        PendingKind::Owner => {
            "SELECT c.source_id, '' FROM pet_owner x JOIN character c ON c.id = x.character_id \
             WHERE x.pet_id = ?3 UNION ALL "
        }
    };
    let waiting = "SELECT to_id, detail FROM pending_relation WHERE source_name = ?1 AND from_id = ?2";
    let sql = format!("{linked}{waiting} AND kind = '{}'", kind.as_str());
    let make = |row: &Row<'_>| Ok(Stated { other: row.get(0)?, detail: row.get(1)? });
    let own = [Value::from(from.source_name), Value::from(from.source_id), Value::from(from.row)];
    session.query(&sql, if linked.is_empty() { &own[..2] } else { &own }, make)
}

/// Links both ends, or keeps the relation aside until the other one arrives.
pub fn state(
    session: &Session<'_>,
    kind: PendingKind,
    from: End<'_>,
    stated: &Stated,
    now: i64,
) -> Result<(), SqlError> {
    let other = TitleKey { source_name: from.source_name.to_owned(), source_id: stated.other.clone() };
    match row_of(session, kind.to_kind(), &other)? {
        Some(row) => link(session, kind, from.row, row, &stated.detail),
        None => wait(session, kind, from.source_name, from.source_id, stated, now),
    }
}

/// Keeps a relation aside.
pub fn wait(
    session: &Session<'_>,
    kind: PendingKind,
    source_name: &str,
    from_id: &str,
    stated: &Stated,
    now: i64,
) -> Result<(), SqlError> {
    session
        .execute(
            "INSERT INTO pending_relation (source_name, kind, from_id, to_kind, to_id, detail, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            values![source_name, kind.as_str(), from_id, kind.to_kind().as_str(), &stated.other, &stated.detail, now],
        )
        .map(drop)
}

/// Takes a relation back, linked or waiting.
pub fn take_back(session: &Session<'_>, kind: PendingKind, from: End<'_>, stated: &Stated) -> Result<(), SqlError> {
    session.execute(
        "DELETE FROM pending_relation WHERE source_name = ?1 AND kind = ?2 AND from_id = ?3 AND to_id = ?4 \
         AND detail = ?5",
        values![from.source_name, kind.as_str(), from.source_id, &stated.other, &stated.detail],
    )?;
    let other = TitleKey { source_name: from.source_name.to_owned(), source_id: stated.other.clone() };
    match row_of(session, kind.to_kind(), &other)? {
        Some(row) => unlink(session, kind, from.row, row, &stated.detail),
        None => Ok(()),
    }
}

/// Nothing that this end has stated waits any more.
pub fn forget(session: &Session<'_>, kind: PendingKind, source_name: &str, from_id: &str) -> Result<(), SqlError> {
    session
        .execute(
            "DELETE FROM pending_relation WHERE source_name = ?1 AND kind = ?2 AND from_id = ?3",
            values![source_name, kind.as_str(), from_id],
        )
        .map(drop)
}

/// Takes everything that waits for this entity out of the waiting room.
pub fn claim(session: &Session<'_>, kind: RecordKind, key: &TitleKey) -> Result<Vec<Pending>, SqlError> {
    let mut claimed = session.query(
        "DELETE FROM pending_relation WHERE source_name = ?1 AND to_kind = ?2 AND to_id = ?3 \
         RETURNING kind, from_id, detail",
        values![&key.source_name, kind.as_str(), &key.source_id],
        |row| Ok(Pending { kind: PendingKind::parse(row.text(0)?)?, from_id: row.get(1)?, detail: row.get(2)? }),
    )?;
    // `RETURNING` has no order.
    claimed.sort_by(|a, b| (a.kind, &a.from_id, &a.detail).cmp(&(b.kind, &b.from_id, &b.detail)));
    Ok(claimed)
}

/// Relations that wait although their other end is there, which only a race leaves: at most `limit` such ends.
pub fn arrived_unnoticed(session: &Session<'_>, limit: u32) -> Result<Vec<(RecordKind, TitleKey)>, SqlError> {
    session.query(
        "SELECT DISTINCT p.to_kind, p.source_name, p.to_id FROM pending_relation p JOIN source s \
         ON s.name = p.source_name WHERE \
         (p.to_kind = 'series' AND EXISTS (SELECT 1 FROM series r WHERE r.source = s.id AND r.source_id = p.to_id)) OR \
         (p.to_kind = 'character' AND EXISTS \
         (SELECT 1 FROM character c WHERE c.source = s.id AND c.source_id = p.to_id)) LIMIT ?1",
        values![limit],
        |row| {
            let kind = if row.text(0)? == "series" { RecordKind::Series } else { RecordKind::Character };
            Ok((kind, TitleKey { source_name: row.get(1)?, source_id: row.get(2)? }))
        },
    )
}

/// Does anything of this source wait for a character?
pub fn characters_awaited(session: &Session<'_>, source_name: &str) -> Result<bool, SqlError> {
    session.exists(
        "SELECT 1 FROM pending_relation WHERE source_name = ?1 AND to_kind = 'character' LIMIT 1",
        values![source_name],
    )
}

/// Links two rows.
pub fn link(session: &Session<'_>, kind: PendingKind, from: i64, to: i64, detail: &str) -> Result<(), SqlError> {
    let sql = match kind {
        PendingKind::Release => return Ok(()),
        PendingKind::Cast => {
            "INSERT INTO series_character (series_id, character_id, role, role_of_series) VALUES (?1, ?2, ?3, ?3) \
             ON CONFLICT (series_id, character_id) DO UPDATE SET role_of_series = excluded.role_of_series, \
             role = CASE WHEN series_character.role_of_character = 'main' THEN 'main' \
             ELSE excluded.role_of_series END"
        }
        PendingKind::Appearance => {
            "INSERT INTO series_character (character_id, series_id, role, role_of_character) VALUES (?1, ?2, ?3, ?3) \
             ON CONFLICT (series_id, character_id) DO UPDATE SET role_of_character = excluded.role_of_character, \
             role = CASE WHEN series_character.role_of_series = 'main' THEN 'main' \
             ELSE excluded.role_of_character END"
        }
        PendingKind::Series => {
            "INSERT INTO series_relation (series_id, related_id, kind) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
        }
        PendingKind::Owner => {
            let sql = "INSERT INTO pet_owner (pet_id, character_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            return session.execute(sql, values![from, to]).map(drop);
        }
    };
    session.execute(sql, values![from, to, detail]).map(drop)
}

fn unlink(session: &Session<'_>, kind: PendingKind, from: i64, to: i64, detail: &str) -> Result<(), SqlError> {
    match kind {
        PendingKind::Release => Ok(()),
        PendingKind::Cast => unlink_cast(session, from, to),
        PendingKind::Appearance => {
            session.execute(
                "DELETE FROM series_character WHERE series_id = ?2 AND character_id = ?1 AND role_of_series IS NULL",
                values![from, to],
            )?;
            session
                .execute(
                    "UPDATE series_character SET role_of_character = NULL, role = role_of_series \
                     WHERE series_id = ?2 AND character_id = ?1",
                    values![from, to],
                )
                .map(drop)
        }
        PendingKind::Series => session
            .execute(
                "DELETE FROM series_relation WHERE series_id = ?1 AND related_id = ?2 AND kind = ?3",
                values![from, to, detail],
            )
            .map(drop),
        PendingKind::Owner => session
            .execute("DELETE FROM pet_owner WHERE pet_id = ?1 AND character_id = ?2", values![from, to])
            .map(drop),
    }
}

/// The series does not name the character any more; the link stays while the character names the series.
pub(super) fn unlink_cast(session: &Session<'_>, series: i64, character: i64) -> Result<(), SqlError> {
    session.execute(
        "DELETE FROM series_character WHERE series_id = ?1 AND character_id = ?2 AND role_of_character IS NULL",
        values![series, character],
    )?;
    session
        .execute(
            "UPDATE series_character SET role_of_series = NULL, role = role_of_character \
             WHERE series_id = ?1 AND character_id = ?2",
            values![series, character],
        )
        .map(drop)
}

/// The row of a source, if anything of it was ever imported.
pub fn source_row(session: &Session<'_>, name: &str) -> Result<Option<i64>, SqlError> {
    read::source_row(session, name)
}
