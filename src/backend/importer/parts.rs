//! Parts of titles, as the import contract sends them, pass through staging, too: each leaves its hash and its time.

use serde::Serialize;

use super::series::hash;
use crate::model::{Collision, RecordKind};
use crate::store::catalogue::{TitleKey, VideoKey};
use crate::store::sql::{Session, SqlError};
use crate::store::staging::{self, Finish, Mark, StagedKey};

/// A part of a series (`card`, `episodes`) was taken; `refused` says which of it was not.
///
/// # Errors
/// The store's.
pub fn stage_part(
    session: &Session<'_>,
    key: &TitleKey,
    shape: &str,
    part: &impl Serialize,
    refused: Option<&str>,
    now: i64,
) -> Result<(), SqlError> {
    let key = StagedKey { kind: RecordKind::Series, source_name: &key.source_name, external_id: &key.source_id, shape };
    put(session, key, part, refused, now)
}

/// A player link of an episode was taken.
///
/// # Errors
/// The store's.
pub fn stage_video(session: &Session<'_>, key: &VideoKey, part: &impl Serialize, now: i64) -> Result<(), SqlError> {
    // An episode has many links, and an address is too long for a key.
    let shape = format!("video {}", &hash(&format!("{}\n{}", key.player_source, key.url))[..16]);
    let key = StagedKey {
        kind: RecordKind::Release,
        source_name: &key.source_name,
        external_id: &key.source_episode_id,
        shape: &shape,
    };
    put(session, key, part, None, now)
}

fn put(
    session: &Session<'_>,
    key: StagedKey<'_>,
    part: &impl Serialize,
    refused: Option<&str>,
    now: i64,
) -> Result<(), SqlError> {
    let mark = Mark {
        finish: Finish::Processed(refused.map(|message| ("partial", message))),
        payload: None,
        // Serialising into memory cannot fail: there is no map with keys that are no text.
        content_hash: &hash(&serde_json::to_string(part).unwrap_or_default()),
        collision: Collision::Upsert,
        import: None,
        observed_at: None,
        tried: true,
    };
    staging::put(session, key, mark, now)
}
