//! What importing a record would change, decided from what is stored and the record alone. An import applies the plan,
//! a dry run prints it: they cannot disagree.
//!
//! A record is always a complete view of its title, so what is missing from it is gone from the source:
//! - one active video for each (translation, episode); a changed link is a new video, the old one is switched off;
//! - an episode or release that is gone is switched off together with its videos, never deleted;
//! - what comes back is switched on again, unless a person switched it off.

use std::collections::{HashMap, HashSet};

use super::{merge, names};
use crate::model::{Change, Character, Release, TitleRecord, TranslationId, Writes};
use crate::store::catalogue::{
    Changes, EpisodeRow, Put, ReleaseRow, RowRef, SeriesPut, StoredEpisode, StoredRelease, StoredTitle, StoredVideo,
    Switch, VideoRow, episode_class, episode_key, translation_kind,
};

/// The player's type in the tables and in the contract.
pub const PLAYER_TYPE: &str = "iframe";
/// The player's source in the tables and in the contract.
pub const PLAYER_SOURCE: &str = "kodik";

/// One field of the series that changes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldChange {
    /// Name in the tables.
    pub name: &'static str,
    /// Before.
    pub old: Option<String>,
    /// After.
    pub new: Option<String>,
}

/// What an import would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Created, updated, or (`None`) unchanged.
    pub change: Option<Change>,
    /// Fields of the series that change; empty for a new one.
    pub fields: Vec<FieldChange>,
    /// Episodes that are new or switched on again.
    pub episodes_added: usize,
    /// Videos that are new or switched on again.
    pub videos_added: usize,
    /// The changes themselves.
    pub changes: Changes,
}

impl Plan {
    /// Rows that would be written.
    pub fn writes(&self) -> Writes {
        self.changes.writes()
    }
}

/// Compares a record with what is stored of its title.
pub fn plan(stored: Option<&StoredTitle>, record: &TitleRecord, fingerprint: &str) -> Plan {
    let mut changes = Changes { fingerprint: fingerprint.to_owned(), ..Changes::default() };
    let mut fields = Vec::new();
    changes.series = match stored {
        None => SeriesPut::Insert {
            series: Box::new(record.series.clone()),
            origin: record.origin,
            slug: names::slug(&record.series),
        },
        Some(stored) => match merge::series(&stored.series, &record.series, record.origin) {
            Some((series, origin, differing)) => {
                fields = differing;
                SeriesPut::Update { row: stored.series.row, series: Box::new(series), origin }
            }
            None => SeriesPut::Keep { row: stored.series.row },
        },
    };
    let mut plan = Plan { change: None, fields, episodes_added: 0, videos_added: 0, changes };
    let stored_episodes = stored.map_or(&[][..], |stored| &stored.episodes);
    let stored_releases = stored.map_or(&[][..], |stored| &stored.releases);
    let stored_videos = stored.map_or(&[][..], |stored| &stored.videos);
    let episodes = plan.episodes(stored_episodes, record);
    let releases = plan.releases(stored_releases, &record.releases);
    plan.videos(stored_videos, record, &episodes, &releases);
    if let Some(characters) = &record.characters {
        plan.characters(stored, characters);
    }
    plan.change = match stored {
        None => Some(Change::Created),
        Some(_) if plan.changes.is_empty() => None,
        Some(_) => Some(Change::Updated),
    };
    plan
}

impl Plan {
    fn episodes<'r>(&mut self, stored: &[StoredEpisode], record: &'r TitleRecord) -> HashMap<&'r str, RowRef> {
        let mut old: HashMap<&str, &StoredEpisode> =
            stored.iter().map(|episode| (episode.source_episode_id.as_str(), episode)).collect();
        let mut rows = HashMap::with_capacity(record.episodes.len());
        for episode in &record.episodes {
            let id = episode.id.0.as_str();
            if rows.contains_key(id) {
                continue;
            }
            let before = old.remove(id);
            let data = EpisodeRow {
                source_episode_id: id.to_owned(),
                season: episode.season,
                key: episode_key(&episode.key),
                number: episode.number,
                // A title that one answer leaves out is not taken away.
                title: episode.title.clone().or_else(|| before.and_then(|before| before.title.clone())),
                class: episode.class,
                switch: before.map_or(Switch::On, |before| switch(before.disabled)),
            };
            rows.insert(
                id,
                match before {
                    Some(before) if same_episode(before, &data) => RowRef::Stored(before.row),
                    Some(before) => {
                        self.episodes_added += usize::from(!before.is_active && data.switch == Switch::On);
                        self.changes.episodes.push(Put { row: Some(before.row), data });
                        RowRef::Stored(before.row)
                    }
                    None => {
                        self.episodes_added += 1;
                        self.changes.episodes.push(Put { row: None, data });
                        RowRef::New(self.changes.episodes.len() - 1)
                    }
                },
            );
        }
        let gone = stored.iter().filter(|episode| episode.is_active && old.contains_key(&*episode.source_episode_id));
        self.changes.episodes_off = gone.map(|episode| episode.row).collect();
        rows
    }

    fn releases(&mut self, stored: &[StoredRelease], releases: &[Release]) -> HashMap<TranslationId, RowRef> {
        let mut old: HashMap<i64, &StoredRelease> =
            stored.iter().map(|release| (release.translation_id, release)).collect();
        let mut rows = HashMap::with_capacity(releases.len());
        for release in releases {
            let id = release.translation.id;
            if rows.contains_key(&id) {
                continue;
            }
            let data = release_row(release);
            let reference = if let Some(before) = old.remove(&id.0) {
                if !same_release(before, &data) {
                    self.changes.releases.push(Put { row: Some(before.row), data });
                }
                RowRef::Stored(before.row)
            } else {
                self.changes.releases.push(Put { row: None, data });
                RowRef::New(self.changes.releases.len() - 1)
            };
            rows.insert(id, reference);
        }
        let gone = stored.iter().filter(|release| release.is_active && old.contains_key(&release.translation_id));
        self.changes.releases_off = gone.map(|release| release.row).collect();
        rows
    }

    fn videos(
        &mut self,
        stored: &[StoredVideo],
        record: &TitleRecord,
        episodes: &HashMap<&str, RowRef>,
        releases: &HashMap<TranslationId, RowRef>,
    ) {
        let mut old: HashMap<(i64, &str), &StoredVideo> = stored
            .iter()
            .filter(|video| video.player_source == PLAYER_SOURCE)
            .map(|video| ((video.episode_row, video.url.as_str()), video))
            .collect();
        // Two translations may share one link; the first (the preferred one) has it.
        let mut seen = HashSet::with_capacity(record.videos.len());
        for video in &record.videos {
            let Some(&episode) = episodes.get(video.episode_id.0.as_str()) else { continue };
            if !seen.insert((video.episode_id.0.as_str(), video.url.as_str())) {
                continue;
            }
            let before = match episode {
                RowRef::Stored(row) => old.remove(&(row, video.url.as_str())),
                RowRef::New(_) => None,
            };
            let data = VideoRow {
                episode,
                release: releases.get(&video.translation_id).copied(),
                player_type: PLAYER_TYPE.into(),
                player_source: PLAYER_SOURCE.into(),
                url: video.url.clone(),
                priority: video.priority,
                switch: before.map_or(Switch::On, |before| switch(before.disabled)),
            };
            match before {
                Some(before) if same_video(before, &data) => {}
                Some(before) => {
                    self.videos_added += usize::from(!before.is_active && data.switch == Switch::On);
                    self.changes.videos.push(Put { row: Some(before.row), data });
                }
                None => {
                    self.videos_added += 1;
                    self.changes.videos.push(Put { row: None, data });
                }
            }
        }
        let mut gone: Vec<i64> = old.values().filter(|video| video.is_active).map(|video| video.row).collect();
        gone.sort_unstable();
        self.changes.videos_off = gone;
    }

    fn characters(&mut self, stored: Option<&StoredTitle>, characters: &[Character]) {
        let known = stored.map_or(&[][..], |stored| &stored.characters);
        let mut old: HashMap<u64, _> = known.iter().map(|character| (character.source_id, character)).collect();
        let mut seen = HashSet::with_capacity(characters.len());
        for character in characters {
            if !seen.insert(character.id) {
                continue;
            }
            let before = old.remove(&character.id);
            let same = before.is_some_and(|before| {
                before.name == character.name
                    && (character.russian.is_none() || before.russian == character.russian)
                    && (character.image.is_none() || before.image == character.image)
            });
            if !same {
                self.changes.characters.push(character.clone());
            }
            if before.and_then(|before| before.role) != Some(character.role) {
                self.changes.character_links.push((character.id, character.role));
            }
        }
        let mut gone: Vec<u64> = old.into_keys().collect();
        gone.sort_unstable();
        self.changes.characters_unlinked = gone;
    }
}

fn switch(disabled: bool) -> Switch {
    if disabled { Switch::Disabled } else { Switch::On }
}

fn same_episode(before: &StoredEpisode, data: &EpisodeRow) -> bool {
    before.season == data.season
        && before.key == data.key
        && before.number == data.number
        && before.title == data.title
        && before.class == episode_class(data.class)
        && before.is_active == (data.switch == Switch::On)
}

fn same_video(before: &StoredVideo, data: &VideoRow) -> bool {
    before.priority == data.priority
        && before.player_type == data.player_type
        && before.release_row.map(RowRef::Stored) == data.release
        && before.is_active == (data.switch == Switch::On)
}

fn same_release(before: &StoredRelease, data: &ReleaseRow) -> bool {
    before.is_active
        && before.title == data.title
        && before.kind == translation_kind(data.kind)
        && before.material_id == data.material_id
        && before.priority == data.priority
        && before.quality == data.quality
        && before.camrip == data.camrip
        && before.episodes == data.episodes
        && before.blocked_countries == data.blocked_countries
        && before.blocked_seasons == data.blocked_seasons
        && before.source_updated_at == data.source_updated_at
}

fn release_row(release: &Release) -> ReleaseRow {
    ReleaseRow {
        translation_id: release.translation.id,
        title: release.translation.title.clone(),
        kind: release.translation.kind,
        material_id: release.material_id.0.clone(),
        priority: release.priority,
        quality: release.quality.clone(),
        camrip: release.camrip,
        episodes: release.episodes,
        blocked_countries: release.blocked_countries.clone(),
        blocked_seasons: release.blocked_seasons.clone(),
        source_updated_at: release.updated_at.map(jiff::Timestamp::as_millisecond),
    }
}
