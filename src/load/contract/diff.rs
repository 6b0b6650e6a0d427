//! What has to be sent of a record, given what was acknowledged before. Pure; sending and dry run share it.

use std::collections::{BTreeMap, HashSet};

use super::payload::{AnimePayload, EpisodePayload, VideoPayload};
use crate::model::{MetadataOrigin, TitleRecord, Video};
use crate::store::sent::SentTitle;

/// What has to be sent.
#[derive(Debug)]
pub struct Diff<'a> {
    /// The series payload, if it has to be sent.
    pub anime: Option<String>,
    /// Its fields that differ from those sent before; empty for a new title.
    pub fields: Vec<(&'static str, Option<String>, Option<String>)>,
    /// Episodes to send, each with the hash that its acknowledgement is kept under.
    pub episodes: Vec<(u64, EpisodePayload<'a>)>,
    /// Videos to send, likewise.
    pub videos: Vec<(u64, &'a Video)>,
    /// Hashes of what the record still contains and the backend has.
    pub kept: Vec<u64>,
    /// Titles of all episodes that have one.
    pub titles: BTreeMap<String, String>,
}

impl Diff<'_> {
    /// Is there nothing to send?
    pub fn is_empty(&self) -> bool {
        self.anime.is_none() && self.episodes.is_empty() && self.videos.is_empty()
    }
}

/// Compares the record with what was acknowledged.
pub fn diff<'a>(source_name: &'a str, record: &'a TitleRecord, sent: &'a SentTitle) -> Diff<'a> {
    let mut kept = Vec::new();
    let (anime, fields) = anime(source_name, record, sent);
    let mut titles = BTreeMap::new();
    let mut episodes = Vec::new();
    for episode in &record.episodes {
        let payload = EpisodePayload::new(episode, sent.titles.get(&episode.id.0));
        if let Some(title) = payload.title {
            titles.insert(episode.id.0.clone(), title.to_owned());
        }
        let hash = hash("episode", &payload);
        if sent.has(hash) {
            kept.push(hash);
        } else {
            episodes.push((hash, payload));
        }
    }
    let mut videos = Vec::new();
    // One link of an episode is one video for the backend; the first (the preferred translation) has it.
    let mut seen = HashSet::with_capacity(record.videos.len());
    for video in &record.videos {
        if !seen.insert((video.episode_id.0.as_str(), video.url.as_str())) {
            continue;
        }
        let hash = hash("video", &VideoPayload::new(source_name, video));
        if sent.has(hash) {
            kept.push(hash);
        } else {
            videos.push((hash, video));
        }
    }
    Diff { anime, fields, episodes, videos, kept, titles }
}

type Fields = Vec<(&'static str, Option<String>, Option<String>)>;

fn anime(source_name: &str, record: &TitleRecord, sent: &SentTitle) -> (Option<String>, Fields) {
    let payload = AnimePayload::new(source_name, &record.series);
    let Some(text) = &sent.anime else { return (Some(json(&payload)), Vec::new()) };
    let poorer = record.origin == MetadataOrigin::MaterialData;
    if poorer && sent.origin.is_some_and(|origin| origin != MetadataOrigin::MaterialData) {
        return (None, Vec::new());
    }
    // What cannot be read back cannot be kept; it was written by this program, so it can.
    let Ok(before) = serde_json::from_str::<AnimePayload<'_>>(text) else { return (Some(json(&payload)), Vec::new()) };
    let payload = payload.keeping(before.clone());
    if payload == before {
        return (None, Vec::new());
    }
    let fields = payload.changes(&before);
    (Some(json(&payload)), fields)
}

/// The payload's text; these types always serialise.
pub(super) fn json(payload: &impl serde::Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_default()
}

fn hash(kind: &str, payload: &impl serde::Serialize) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.as_bytes());
    hasher.update(json(payload).as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_be_bytes(bytes)
}
