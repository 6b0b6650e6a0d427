//! An entity has arrived: what others have said of it before is carried out now, in the same transaction.

use super::{pictures, staged};
use crate::model::RecordKind;
use crate::store::catalogue::relations::{self, Pending, PendingKind};
use crate::store::catalogue::{CharacterRow, ImageOwner, TitleKey};
use crate::store::sql::{Session, SqlError};

/// A series is there for the first time.
pub(in crate::backend) fn series(session: &Session<'_>, key: &TitleKey, row: i64, now: i64) -> Result<(), SqlError> {
    arrived(session, RecordKind::Series, key, row, now)
}

/// A character is there for the first time.
pub(super) fn character(session: &Session<'_>, key: &TitleKey, row: i64, now: i64) -> Result<(), SqlError> {
    arrived(session, RecordKind::Character, key, row, now)
}

/// A series has told of these characters; some may be new, or look otherwise.
pub(super) fn cast(
    session: &Session<'_>,
    series: &TitleKey,
    characters: &[CharacterRow],
    now: i64,
) -> Result<(), SqlError> {
    for character in characters.iter().filter(|character| character.image.is_some()) {
        let key = TitleKey { source_name: series.source_name.clone(), source_id: character.source_id.clone() };
        if let Some(row) = relations::row_of(session, RecordKind::Character, &key)? {
            pictures::shown(session, ImageOwner::Character(row), character.image.as_deref(), false)?;
        }
    }
    if characters.is_empty() || !relations::characters_awaited(session, &series.source_name)? {
        return Ok(());
    }
    for character in characters {
        let key = TitleKey { source_name: series.source_name.clone(), source_id: character.source_id.clone() };
        if let Some(row) = relations::row_of(session, RecordKind::Character, &key)? {
            arrived(session, RecordKind::Character, &key, row, now)?;
        }
    }
    Ok(())
}

/// Carries out what waits for an entity that is there.
pub(super) fn arrived(
    session: &Session<'_>,
    kind: RecordKind,
    key: &TitleKey,
    row: i64,
    now: i64,
) -> Result<(), SqlError> {
    for Pending { kind, from_id, detail } in relations::claim(session, kind, key)? {
        let from = TitleKey { source_name: key.source_name.clone(), source_id: from_id };
        if kind == PendingKind::Release {
            staged::complete(session, &from, now)?;
        } else if let Some(other) = relations::row_of(session, kind.from_kind(), &from)? {
            relations::link(session, kind, other, row, &detail)?;
        }
    }
    Ok(())
}
