//! What a backend has acknowledged. The import contract has no read-back, so this is the only way to know what it has:
//! unchanged parts are not sent again, and good data are not overwritten by data that are merely missing this time.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{OptionalExtension, params};

use super::StoreError;
use super::catalogue::{origin_word, parse_origin};
use super::sqlite::{CrashPoints, Database, Options, Schema, signed};
use crate::error::Party;
use crate::model::{MetadataOrigin, SeriesId};

static SCHEMA: Schema = Schema { migrations: &[("V1__sent", include_str!("sqlite/migrations/sent/V1__sent.sql"))] };

/// Not durable against a power cut: what is lost is sent again, which changes nothing at the backend.
const OPTIONS: Options = Options { schema: &SCHEMA, party: Party::State, durable: false, max_pages: None, page_kib: 4 };

const POINTS: CrashPoints = CrashPoints { before: "sent.before_commit", after: "sent.after_commit" };

/// What one target has acknowledged of one title.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentTitle {
    /// The series payload (JSON) as it was sent last.
    pub anime: Option<String>,
    /// Where its metadata came from.
    pub origin: Option<MetadataOrigin>,
    /// Hashes of the acknowledged episode and video payloads, sorted.
    pub parts: Vec<u64>,
    /// Titles of acknowledged episodes by episode id.
    pub titles: BTreeMap<String, String>,
    /// Of the record, when every part of it was acknowledged.
    pub fingerprint: Option<String>,
}

impl SentTitle {
    /// Was this payload acknowledged?
    pub fn has(&self, part: u64) -> bool {
        self.parts.binary_search(&part).is_ok()
    }
}

/// The record of what was sent, in one SQLite file.
#[derive(Debug)]
pub struct Sent {
    database: Database,
}

impl Sent {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(path, &OPTIONS)? })
    }

    /// Opens it without changing a byte; `None` if nothing was ever sent.
    pub fn open_read_only(path: &Path) -> Result<Option<Self>, StoreError> {
        Ok(Database::open_read_only(path, &OPTIONS)?.map(|database| Self { database }))
    }

    /// What `target` has acknowledged of the title.
    pub async fn get(&self, target: &str, series: SeriesId) -> Result<Option<SentTitle>, StoreError> {
        let target = target.to_owned();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT anime, origin, parts, fingerprint, titles FROM sent WHERE target = ?1 AND series_id = ?2",
                    )?
                    .query_row(params![target, signed(series.0)?], |row| {
                        Ok(SentTitle {
                            anime: row.get(0)?,
                            origin: row.get_ref(1)?.as_str_or_null()?.map(parse_origin).transpose().map_err(unreadable)?,
                            parts: unpack(row.get_ref(2)?.as_blob()?),
                            fingerprint: row.get(3)?,
                            titles: parse_titles(row.get_ref(4)?.as_str()?),
                        })
                    })
                    .optional()
            })
            .await
    }

    /// Keeps what `target` has acknowledged of the title.
    pub async fn put(&self, target: &str, series: SeriesId, title: SentTitle) -> Result<(), StoreError> {
        let target = target.to_owned();
        self.database
            .write(POINTS, move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO sent (target, series_id, anime, origin, parts, fingerprint, \
                         titles) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        target,
                        signed(series.0)?,
                        title.anime,
                        title.origin.map(origin_word),
                        pack(&title.parts),
                        title.fingerprint,
                        serde_json::to_string(&title.titles).unwrap_or_else(|_| "{}".to_owned()),
                    ])
                    .map(drop)
            })
            .await
    }
}

/// Unreadable titles only cost the protection of titles.
fn parse_titles(text: &str) -> BTreeMap<String, String> {
    if text == "{}" { BTreeMap::new() } else { serde_json::from_str(text).unwrap_or_default() }
}

fn pack(parts: &[u64]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_be_bytes()).collect()
}

fn unpack(blob: &[u8]) -> Vec<u64> {
    blob.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect()
}

fn unreadable(error: crate::store::sql::SqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::{SentTitle, pack, unpack};

    #[test]
    fn parts_survive_the_blob() {
        let parts = vec![1, 77, u64::MAX];
        assert_eq!(unpack(&pack(&parts)), parts);
        let title = SentTitle { parts, ..SentTitle::default() };
        assert!(title.has(77) && !title.has(78));
    }
}
