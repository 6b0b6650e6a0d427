//! All images that records name for an entity; which one readers see is in the entity's own row.

use crate::store::sql::{Session, SqlError, values};

/// Whose images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageOwner {
    /// Row of a series.
    Series(i64),
    /// Row of a character.
    Character(i64),
    /// Row of a pet.
    Pet(i64),
}

impl ImageOwner {
    fn parts(self) -> (&'static str, i64) {
        match self {
            Self::Series(row) => ("series", row),
            Self::Character(row) => ("character", row),
            Self::Pet(row) => ("pet", row),
        }
    }
}

/// The candidates in their order, and which of them is the one that is shown.
pub fn images(session: &Session<'_>, owner: ImageOwner) -> Result<Vec<(String, bool)>, SqlError> {
    let (kind, row) = owner.parts();
    session.query(
        "SELECT url, is_primary FROM image WHERE owner_kind = ?1 AND owner_id = ?2 ORDER BY position, url",
        values![kind, row],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Makes these the candidates.
pub fn put_images(session: &Session<'_>, owner: ImageOwner, images: &[(String, bool)]) -> Result<(), SqlError> {
    let (kind, row) = owner.parts();
    session.execute("DELETE FROM image WHERE owner_kind = ?1 AND owner_id = ?2", values![kind, row])?;
    let rows = images
        .iter()
        .zip(0_i64..)
        .map(|((url, is_primary), position)| values![kind, row, url, *is_primary, position].to_vec());
    session
        .execute_many(
            "INSERT INTO image (owner_kind, owner_id, url, is_primary, position) VALUES (?1, ?2, ?3, ?4, ?5)",
            rows,
        )
        .map(drop)
}
