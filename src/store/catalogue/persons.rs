//! Characters and pets: their rows, and the cast of a series.

use super::changes::{Changes, CharacterRow};
use super::relations::{self, PendingKind, Stated};
use super::{TitleKey, codec, write};
use crate::store::sql::{Row, Session, SqlError, values};

/// A character's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPerson {
    /// Row id.
    pub row: i64,
    /// The data.
    pub data: CharacterRow,
    /// Its own record was imported.
    pub described: bool,
    /// A person edited it.
    pub admin_modified: bool,
}

/// Data of a pet's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PetRow {
    /// Name.
    pub name: String,
    /// Russian name.
    pub russian: Option<String>,
    /// What it is.
    pub species: Option<String>,
    /// Plain text.
    pub description: Option<String>,
    /// Address of an image.
    pub image: Option<String>,
}

/// A pet's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPet {
    /// Row id.
    pub row: i64,
    /// The data.
    pub data: PetRow,
    /// A person edited it.
    pub admin_modified: bool,
}

/// What is stored of a character.
pub fn character(session: &Session<'_>, key: &TitleKey) -> Result<Option<StoredPerson>, SqlError> {
    session.first(
        "SELECT c.id, c.source_id, c.name, c.russian, c.image, c.described, c.admin_modified FROM character c \
         WHERE c.source = (SELECT id FROM source WHERE name = ?1) AND c.source_id = ?2",
        values![&key.source_name, &key.source_id],
        |row| {
            Ok(StoredPerson {
                row: row.get(0)?,
                data: CharacterRow {
                    source_id: row.get(1)?,
                    name: row.get(2)?,
                    russian: row.get(3)?,
                    image: row.get(4)?,
                },
                described: row.get(5)?,
                admin_modified: row.get(6)?,
            })
        },
    )
}

/// Writes a character from its own record; gives its row.
pub fn put_character(
    session: &Session<'_>,
    key: &TitleKey,
    row: Option<i64>,
    data: &CharacterRow,
    now: i64,
) -> Result<i64, SqlError> {
    let CharacterRow { source_id, name, russian, image } = data;
    if let Some(row) = row {
        session.execute(
            "UPDATE character SET name = ?2, russian = ?3, image = ?4, described = TRUE, updated_at = ?5 WHERE id = ?1",
            values![row, name, russian, image, now],
        )?;
        return Ok(row);
    }
    let source = write::source_row(session, &key.source_name)?;
    session.one(
        "INSERT INTO character (source, source_id, name, russian, image, described, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, TRUE, ?6, ?6) RETURNING id",
        values![source, source_id, name, russian, image, now],
        |row| row.get(0),
    )
}

/// What is stored of a pet.
pub fn pet(session: &Session<'_>, key: &TitleKey) -> Result<Option<StoredPet>, SqlError> {
    let make = |row: &Row<'_>| {
        Ok(StoredPet {
            row: row.get(0)?,
            data: PetRow {
                name: row.get(1)?,
                russian: row.get(2)?,
                species: row.get(3)?,
                description: row.get(4)?,
                image: row.get(5)?,
            },
            admin_modified: row.get(6)?,
        })
    };
    session.first(
        "SELECT p.id, p.name, p.russian, p.species, p.description, p.image, p.admin_modified FROM source s \
         JOIN pet p ON p.source = s.id WHERE s.name = ?1 AND p.source_id = ?2",
        values![&key.source_name, &key.source_id],
        make,
    )
}

/// Writes a pet; gives its row.
pub fn put_pet(
    session: &Session<'_>,
    key: &TitleKey,
    row: Option<i64>,
    data: &PetRow,
    now: i64,
) -> Result<i64, SqlError> {
    let PetRow { name, russian, species, description, image } = data;
    if let Some(row) = row {
        session.execute(
            "UPDATE pet SET name = ?2, russian = ?3, species = ?4, description = ?5, image = ?6, updated_at = ?7 \
             WHERE id = ?1",
            values![row, name, russian, species, description, image, now],
        )?;
        return Ok(row);
    }
    let source = write::source_row(session, &key.source_name)?;
    session.one(
        "INSERT INTO pet (source, source_id, name, russian, species, description, image, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) RETURNING id",
        values![source, &key.source_id, name, russian, species, description, image, now],
        |row| row.get(0),
    )
}

/// Writes the cast of a series.
pub(super) fn put_cast(
    session: &Session<'_>,
    source: i64,
    series: i64,
    key: &TitleKey,
    changes: &Changes,
    now: i64,
) -> Result<(), SqlError> {
    for CharacterRow { source_id, name, russian, image } in &changes.characters {
        // Whoever finds a character missing and lets something wait for it holds this lock, too.
        lock_character(session, &key.source_name, source_id)?;
        // A character is shared by many series: what this one does not know, another may have told; and what its own
        // record says, no series knows better.
        session.execute(
            "INSERT INTO character (source, source_id, name, russian, image, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (source, source_id) DO UPDATE SET \
             name = CASE WHEN character.described = TRUE THEN character.name ELSE excluded.name END, \
             russian = CASE WHEN character.described = TRUE THEN coalesce(character.russian, excluded.russian) \
             ELSE coalesce(excluded.russian, character.russian) END, \
             image = CASE WHEN character.described = TRUE THEN coalesce(character.image, excluded.image) \
             ELSE coalesce(excluded.image, character.image) END, updated_at = excluded.updated_at \
             WHERE character.admin_modified = FALSE AND (\
             (character.described = FALSE AND character.name IS DISTINCT FROM excluded.name) \
             OR character.russian IS DISTINCT FROM coalesce(excluded.russian, character.russian) \
             OR character.image IS DISTINCT FROM coalesce(excluded.image, character.image))",
            values![source, source_id, name, russian, image, now],
        )?;
    }
    for (id, role) in &changes.character_links {
        let role = codec::role(*role);
        let link = || {
            session.execute(
                "INSERT INTO series_character (series_id, character_id, role, role_of_series) \
             SELECT ?1, id, ?4, ?4 FROM character WHERE source = ?2 AND source_id = ?3 \
             ON CONFLICT (series_id, character_id) DO UPDATE SET role_of_series = excluded.role_of_series, \
             role = CASE WHEN series_character.role_of_character = 'main' THEN 'main' \
             ELSE excluded.role_of_series END",
                values![series, source, id, role],
            )
        };
        if link()? > 0 {
            continue;
        }
        // Missing: unless it is made just now, the link waits for it.
        lock_character(session, &key.source_name, id)?;
        if link()? == 0 {
            let stated = Stated { other: id.clone(), detail: role.to_owned() };
            relations::wait(session, PendingKind::Cast, &key.source_name, &key.source_id, &stated, now)?;
        }
    }
    for id in &changes.characters_unlinked {
        let row: Option<i64> = session.first(
            "SELECT id FROM character WHERE source = ?1 AND source_id = ?2",
            values![source, id],
            |row| row.get(0),
        )?;
        if let Some(row) = row {
            relations::unlink_cast(session, series, row)?;
        }
    }
    Ok(())
}

/// Waits until nobody else lets anything wait for this character, or makes it.
pub fn lock_character(session: &Session<'_>, source_name: &str, source_id: &str) -> Result<(), SqlError> {
    session.lock(&format!("character {source_name} {source_id}"))
}
