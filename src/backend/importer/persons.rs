//! One character record, or one pet record, in its transaction: read, decide, write.

use std::collections::BTreeSet;

use super::payload::{AppearancePayload, CharacterPayload, PetPayload};
use super::record::RecordRefused;
use super::series::{exists, hash, key_of, lock_all, refuse, sent, state};
use super::{Context, Processed, Record, Trace, arrivals, pictures};
use crate::backend::services::images::{self, Images};
use crate::backend::services::relations::{self, Difference};
use crate::backend::services::{names, types};
use crate::model::{Change, Collision, Writes};
use crate::store::catalogue::relations::{End, PendingKind, Stated};
use crate::store::catalogue::{self, CharacterRow, ImageOwner, PetRow, StoredPerson, StoredPet};
use crate::store::sql::{Session, SqlError};

/// What a record says: its row's data, what it states of others, its images.
struct Said<T> {
    data: T,
    stated: Option<BTreeSet<Stated>>,
    images: Option<Vec<(String, bool)>>,
}

fn read_character(record: &Record) -> Result<Said<CharacterRow>, RecordRefused> {
    let json = record.payload_json();
    let payload: CharacterPayload = sent(&json)?;
    let name = names::normal(&payload.name).ok_or_else(|| RecordRefused::field("payload.name", "is empty"))?;
    let russian = names::russian(payload.russian.as_deref(), &name);
    let Images { shown: image, all: images } = images::choose(payload.image.as_deref(), payload.images.as_deref());
    let stated = payload.series.map(|series| {
        let appearances: Vec<(String, &'static str)> = series
            .into_iter()
            .map(|appearance| match appearance {
                AppearancePayload::Id(id) => (id.0, catalogue::role(types::role(""))),
                AppearancePayload::Role { id, role } => {
                    (id.0, catalogue::role(types::role(role.as_deref().unwrap_or_default())))
                }
            })
            .collect();
        relations::of_character(&appearances)
    });
    Ok(Said { data: CharacterRow { source_id: record.external_id.clone(), name, russian, image }, stated, images })
}

/// Imports a character.
pub(super) fn character(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
) -> Result<(Processed, Trace), SqlError> {
    let said = match read_character(record) {
        Ok(said) => said,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    let trace = Trace { hash: hash(&record.payload_json()), settled: false };
    let key = key_of(record, &record.external_id);
    if let Some(stated) = said.stated.as_ref().filter(|stated| !stated.is_empty()) {
        lock_all(session, &key, stated.iter())?;
    }
    catalogue::lock_character(session, &key.source_name, &key.source_id)?;
    let stored = catalogue::character(session, &key)?;
    // A character that only series have told of has no record yet.
    let described = stored.as_ref().is_some_and(|stored| stored.described);
    if described && context.collision == Collision::Skip {
        return Ok((Processed::Unchanged, trace));
    }
    let data = character_put(stored.as_ref(), &said.data, context.collision == Collision::Replace);
    let row = stored.as_ref().map(|stored| stored.row);
    let end = End { source_name: &key.source_name, source_id: &key.source_id, row: row.unwrap_or(-1) };
    let difference = difference(session, PendingKind::Appearance, end, said.stated.as_ref())?;
    let images = differing(session, row.map(ImageOwner::Character), said.images.as_ref())?;
    if data.is_none() && difference.is_empty() && images.is_none() {
        return Ok((Processed::Unchanged, trace));
    }
    if described && context.collision == Collision::Fail {
        return Ok((exists(record), trace));
    }
    let mut writes = Writes { characters: u64::from(data.is_some()), relations: difference.len(), ..Writes::default() };
    let image = data.as_ref().and_then(|data| data.image.clone());
    let row = match (data, row) {
        (Some(data), row) => catalogue::put_character(session, &key, row, &data, context.now)?,
        (None, Some(row)) => row,
        // Without a row there is always something to put.
        (None, None) => return Ok((Processed::Unchanged, trace)),
    };
    writes.characters += u64::from(images.is_some());
    state(session, PendingKind::Appearance, End { row, ..end }, &difference, context.now)?;
    match images {
        Some(images) => catalogue::put_images(session, ImageOwner::Character(row), images)?,
        None if said.images.is_none() => {
            pictures::shown(session, ImageOwner::Character(row), image.as_deref(), stored.is_none())?;
        }
        None => {}
    }
    let change = if stored.is_some() {
        Change::Updated
    } else {
        arrivals::character(session, &key, row, context.now)?;
        Change::Created
    };
    Ok((Processed::Written { change, writes }, trace))
}

/// The row as it shall be; `None` = it stays as it is.
fn character_put(stored: Option<&StoredPerson>, new: &CharacterRow, replace: bool) -> Option<CharacterRow> {
    let Some(stored) = stored else { return Some(new.clone()) };
    if stored.admin_modified {
        return None;
    }
    let old = &stored.data;
    let data = CharacterRow {
        source_id: old.source_id.clone(),
        name: new.name.clone(),
        russian: kept(new.russian.as_ref(), old.russian.as_ref(), replace),
        image: kept(new.image.as_ref(), old.image.as_ref(), replace),
    };
    (data != *old || !stored.described).then_some(data)
}

fn read_pet(record: &Record) -> Result<Said<PetRow>, RecordRefused> {
    let json = record.payload_json();
    let payload: PetPayload = sent(&json)?;
    let name = names::normal(&payload.name).ok_or_else(|| RecordRefused::field("payload.name", "is empty"))?;
    let russian = names::russian(payload.russian.as_deref(), &name);
    let species = payload.species.as_deref().and_then(types::word);
    let Images { shown: image, all: images } = images::choose(payload.image.as_deref(), payload.images.as_deref());
    let owners: Option<Vec<String>> = match (payload.owner, payload.owners) {
        (None, None) => None,
        (one, many) => Some(one.into_iter().chain(many.into_iter().flatten()).map(|id| id.0).collect()),
    };
    let description = payload.description.filter(|text| !text.trim().is_empty());
    Ok(Said {
        data: PetRow { name, russian, species, description, image },
        stated: owners.map(|owners| relations::of_pet(&owners)),
        images,
    })
}

/// Imports a pet.
pub(super) fn pet(session: &Session<'_>, record: &Record, context: &Context) -> Result<(Processed, Trace), SqlError> {
    let said = match read_pet(record) {
        Ok(said) => said,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    let trace = Trace { hash: hash(&record.payload_json()), settled: false };
    let key = key_of(record, &record.external_id);
    for owner in said.stated.iter().flatten() {
        catalogue::lock_character(session, &key.source_name, &owner.other)?;
    }
    session.lock(&format!("pet {} {}", key.source_name, key.source_id))?;
    let stored = catalogue::pet(session, &key)?;
    if stored.is_some() && context.collision == Collision::Skip {
        return Ok((Processed::Unchanged, trace));
    }
    let data = pet_put(stored.as_ref(), &said.data, context.collision == Collision::Replace);
    let row = stored.as_ref().map(|stored| stored.row);
    let end = End { source_name: &key.source_name, source_id: &key.source_id, row: row.unwrap_or(-1) };
    let difference = difference(session, PendingKind::Owner, end, said.stated.as_ref())?;
    let images = differing(session, row.map(ImageOwner::Pet), said.images.as_ref())?;
    if data.is_none() && difference.is_empty() && images.is_none() {
        return Ok((Processed::Unchanged, trace));
    }
    if stored.is_some() && context.collision == Collision::Fail {
        return Ok((exists(record), trace));
    }
    let pets = u64::from(data.is_some()) + u64::from(images.is_some());
    let writes = Writes { pets, relations: difference.len(), ..Writes::default() };
    let image = data.as_ref().and_then(|data| data.image.clone());
    let row = match (data, row) {
        (Some(data), row) => catalogue::put_pet(session, &key, row, &data, context.now)?,
        (None, Some(row)) => row,
        // Without a row there is always something to put.
        (None, None) => return Ok((Processed::Unchanged, trace)),
    };
    state(session, PendingKind::Owner, End { row, ..end }, &difference, context.now)?;
    match images {
        Some(images) => catalogue::put_images(session, ImageOwner::Pet(row), images)?,
        None if said.images.is_none() => {
            pictures::shown(session, ImageOwner::Pet(row), image.as_deref(), stored.is_none())?;
        }
        None => {}
    }
    let change = if stored.is_some() { Change::Updated } else { Change::Created };
    Ok((Processed::Written { change, writes }, trace))
}

/// The row as it shall be; `None` = it stays as it is.
fn pet_put(stored: Option<&StoredPet>, new: &PetRow, replace: bool) -> Option<PetRow> {
    let Some(stored) = stored else { return Some(new.clone()) };
    if stored.admin_modified {
        return None;
    }
    let old = &stored.data;
    let data = PetRow {
        name: new.name.clone(),
        russian: kept(new.russian.as_ref(), old.russian.as_ref(), replace),
        species: kept(new.species.as_ref(), old.species.as_ref(), replace),
        description: kept(new.description.as_ref(), old.description.as_ref(), replace),
        image: kept(new.image.as_ref(), old.image.as_ref(), replace),
    };
    (data != *old).then_some(data)
}

/// Nothing never takes the place of something, unless all is to be replaced.
fn kept(new: Option<&String>, old: Option<&String>, replace: bool) -> Option<String> {
    if replace { new.cloned() } else { new.or(old).cloned() }
}

fn difference(
    session: &Session<'_>,
    kind: PendingKind,
    end: End<'_>,
    after: Option<&BTreeSet<Stated>>,
) -> Result<Difference, SqlError> {
    match after {
        None => Ok(Difference::default()),
        Some(after) => Ok(relations::difference(&catalogue::relations::stated(session, kind, end)?, after)),
    }
}

/// The images, if they are not those that are stored.
fn differing<'i>(
    session: &Session<'_>,
    owner: Option<ImageOwner>,
    images: Option<&'i Vec<(String, bool)>>,
) -> Result<Option<&'i Vec<(String, bool)>>, SqlError> {
    let Some(images) = images else { return Ok(None) };
    let stored = owner.map(|owner| catalogue::images(session, owner)).transpose()?.unwrap_or_default();
    Ok((stored != *images).then_some(images))
}

#[cfg(test)]
mod tests {
    use super::{CharacterRow, StoredPerson, character_put};

    fn row(name: &str, russian: Option<&str>, image: Option<&str>) -> CharacterRow {
        CharacterRow {
            source_id: "7".to_owned(),
            name: name.to_owned(),
            russian: russian.map(str::to_owned),
            image: image.map(str::to_owned),
        }
    }

    fn stored(described: bool, admin_modified: bool) -> StoredPerson {
        StoredPerson { row: 1, data: row("A", Some("А"), None), described, admin_modified }
    }

    #[test]
    fn what_is_said_stands_and_what_is_not_said_stays() {
        let put = |stored: &StoredPerson, new: CharacterRow, replace| character_put(Some(stored), &new, replace);
        assert_eq!(put(&stored(true, false), row("A", None, None), false), None, "nothing new");
        assert_eq!(put(&stored(true, false), row("B", None, None), false), Some(row("B", Some("А"), None)));
        assert_eq!(put(&stored(true, false), row("A", None, None), true), Some(row("A", None, None)), "replaced");
        assert_eq!(put(&stored(true, true), row("B", None, None), true), None, "a person's row stays");
        assert_eq!(put(&stored(false, false), row("A", None, None), false), Some(row("A", Some("А"), None)));
        assert_eq!(character_put(None, &row("A", None, None), false), Some(row("A", None, None)));
    }
}
