//! What importing a record would change, decided from what is stored and the record alone. An import applies the plan,
//! a dry run prints it: they cannot disagree.
//!
//! A record that carries releases is a complete view of its title, so what is missing from it is gone from the source
//! (and a release's own record is a complete view of that release):
//! - one active video for each (translation, episode); a changed link is a new video, the old one is switched off;
//! - an episode or release that is gone is switched off together with its videos, never deleted;
//! - what comes back is switched on again, unless a person switched it off.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::importer::{CastMember, Parts, Title};
use super::merge;
use super::services::names;
use crate::model::{Change, Episode, Release, TranslationId, Video, Writes};
use crate::store::catalogue::{
    Changes, CharacterRow, EpisodeRow, Put, ReleaseRow, RowRef, SeriesPut, StoredCharacter, StoredEpisode,
    StoredRelease, StoredTitle, StoredVideo, Switch, VideoRow, episode_class, episode_key, translation_kind,
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

/// Compares a record with what is stored of its title. `replace`: what the record does not say is emptied.
pub fn plan(stored: Option<&StoredTitle>, title: &Title, fingerprint: &str, replace: bool) -> Plan {
    let mut fields = Vec::new();
    let series = match stored {
        None => SeriesPut::Insert {
            series: Box::new(title.series.clone()),
            origin: title.origin,
            slug: names::slug_of(&title.series.title, &title.series.alternative_titles, &title.source_id),
        },
        Some(stored) => match merge::series(&stored.series, &title.series, title.origin, replace) {
            Some((series, origin, differing)) => {
                fields = differing;
                SeriesPut::Update { row: stored.series.row, series: Box::new(series), origin }
            }
            None => SeriesPut::Keep { row: stored.series.row },
        },
    };
    let mut plan = Plan::of(series, fingerprint, fields);
    if let Some(parts) = &title.parts {
        let none = StoredParts::default();
        plan.parts(stored.map_or(none, StoredParts::all), parts, Scope::Title);
    }
    if let Some(cast) = &title.cast {
        plan.characters(stored, cast);
    }
    plan.change = match stored {
        None => Some(Change::Created),
        Some(_) if plan.changes.is_empty() => None,
        Some(_) => Some(Change::Updated),
    };
    plan
}

/// Compares a release's own record with what is stored of its title. Other releases stay as they are. The title's
/// fingerprint is reset: it is not what its last whole record said.
pub fn release(stored: &StoredTitle, parts: &Parts, replace: bool) -> Plan {
    let mut plan = Plan::of(SeriesPut::Keep { row: stored.series.row }, "", Vec::new());
    let mut parts = parts.clone();
    for release in &mut parts.releases {
        let before = stored.releases.iter().find(|before| before.translation_id == release.translation.id.0);
        if let Some(before) = before.filter(|_| !replace) {
            merge::release(before, release);
        }
        if release.translation.title.is_empty() {
            release.translation.title = release.translation.id.to_string();
        }
    }
    let parts = &parts;
    plan.parts(StoredParts::all(stored), parts, Scope::Release);
    if !plan.changes.is_empty() {
        let known =
            |release: &Release| stored.releases.iter().any(|before| before.translation_id == release.translation.id.0);
        plan.change = Some(if parts.releases.iter().all(known) { Change::Updated } else { Change::Created });
    }
    plan
}

/// What a record is a complete view of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Title,
    Release,
}

/// What is stored below a series.
#[derive(Debug, Clone, Copy, Default)]
struct StoredParts<'s> {
    episodes: &'s [StoredEpisode],
    releases: &'s [StoredRelease],
    videos: &'s [StoredVideo],
}

impl<'s> StoredParts<'s> {
    fn all(stored: &'s StoredTitle) -> Self {
        Self { episodes: &stored.episodes, releases: &stored.releases, videos: &stored.videos }
    }
}

impl Plan {
    fn of(series: SeriesPut, fingerprint: &str, fields: Vec<FieldChange>) -> Self {
        let changes = Changes { series, fingerprint: fingerprint.to_owned(), ..Changes::default() };
        Self { change: None, fields, episodes_added: 0, videos_added: 0, changes }
    }

    fn parts(&mut self, stored: StoredParts<'_>, parts: &Parts, scope: Scope) {
        let episodes = self.episodes(stored.episodes, &parts.episodes, scope);
        let releases = self.releases(stored.releases, &parts.releases, scope);
        self.videos(stored, &parts.videos, &episodes, &releases, scope);
    }

    fn episodes<'r>(
        &mut self,
        stored: &[StoredEpisode],
        episodes: &'r [Episode],
        scope: Scope,
    ) -> HashMap<&'r str, RowRef> {
        let mut old: HashMap<&str, &StoredEpisode> =
            stored.iter().map(|episode| (episode.source_episode_id.as_str(), episode)).collect();
        let mut rows = HashMap::with_capacity(episodes.len());
        for episode in episodes {
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
        if scope == Scope::Title {
            let gone =
                stored.iter().filter(|episode| episode.is_active && old.contains_key(&*episode.source_episode_id));
            self.changes.episodes_off = gone.map(|episode| episode.row).collect();
        }
        rows
    }

    fn releases(
        &mut self,
        stored: &[StoredRelease],
        releases: &[Release],
        scope: Scope,
    ) -> HashMap<TranslationId, RowRef> {
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
        if scope == Scope::Title {
            let gone = stored.iter().filter(|release| release.is_active && old.contains_key(&release.translation_id));
            self.changes.releases_off = gone.map(|release| release.row).collect();
        }
        rows
    }

    fn videos(
        &mut self,
        stored: StoredParts<'_>,
        videos: &[Video],
        episodes: &HashMap<&str, RowRef>,
        releases: &HashMap<TranslationId, RowRef>,
        scope: Scope,
    ) {
        let mut old: HashMap<(i64, &str), &StoredVideo> = stored
            .videos
            .iter()
            .filter(|video| video.player_source == PLAYER_SOURCE)
            .map(|video| ((video.episode_row, video.url.as_str()), video))
            .collect();
        // Two translations may share one link; the first (the preferred one) has it.
        let mut seen = HashSet::with_capacity(videos.len());
        for video in videos {
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
                Some(before) if scope == Scope::Release && belongs_to_better(before, &data, video, stored) => {}
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
        let own: HashSet<i64> = releases.values().filter_map(|release| stored_row(*release)).collect();
        let lost = |video: &&StoredVideo| match scope {
            Scope::Title => video.is_active,
            Scope::Release => video.is_active && video.release_row.is_some_and(|release| own.contains(&release)),
        };
        let mut gone: Vec<i64> = old.into_values().filter(lost).map(|video| video.row).collect();
        gone.sort_unstable();
        self.changes.videos_off = gone;
    }

    fn characters(&mut self, stored: Option<&StoredTitle>, cast: &[CastMember]) {
        let known = stored.map_or(&[][..], |stored| &stored.characters);
        let mut old: HashMap<&str, _> =
            known.iter().map(|character| (character.source_id.as_str(), character)).collect();
        let mut seen = HashSet::with_capacity(cast.len());
        for member in cast {
            if !seen.insert(member.id.as_str()) {
                continue;
            }
            let before = old.remove(member.id.as_str());
            if let Some(name) = &member.name
                && !before.is_some_and(|before| says_nothing_new(before, name, member))
            {
                self.changes.characters.push(CharacterRow {
                    source_id: member.id.clone(),
                    name: name.clone(),
                    russian: member.russian.clone(),
                    image: member.image.clone(),
                });
            }
            if before.and_then(|before| before.role) != Some(member.role) {
                self.changes.character_links.push((member.id.clone(), member.role));
            }
        }
        // Two imports that write the same characters do it in the same order.
        self.changes.characters.sort_by(|a, b| a.source_id.cmp(&b.source_id));
        let gone = old.into_values().filter(|character| character.role.is_some());
        let mut gone: Vec<String> = gone.map(|character| character.source_id.clone()).collect();
        gone.sort_unstable();
        self.changes.characters_unlinked = gone;
    }
}

/// A series fills the gaps of a character that has told of itself, and leaves alone what a person edited.
fn says_nothing_new(before: &StoredCharacter, name: &str, member: &CastMember) -> bool {
    let same = |new: Option<&String>, old: Option<&String>| match new {
        None => true,
        Some(_) if before.described => old.is_some(),
        Some(new) => old == Some(new),
    };
    before.admin_modified
        || ((before.described || before.name == name)
            && same(member.russian.as_ref(), before.russian.as_ref())
            && same(member.image.as_ref(), before.image.as_ref()))
}

/// A link that two releases share stays with the preferred one, whichever came first.
fn belongs_to_better(before: &StoredVideo, new: &VideoRow, video: &Video, stored: StoredParts<'_>) -> bool {
    let rank = |priority: i32, translation: i64| (priority, Reverse(translation));
    let owner = stored
        .releases
        .iter()
        .find(|release| release.is_active && before.is_active && Some(release.row) == before.release_row);
    owner.is_some_and(|owner| {
        new.release.and_then(stored_row) != Some(owner.row)
            && rank(before.priority, owner.translation_id) > rank(video.priority, video.translation_id.0)
    })
}

fn stored_row(reference: RowRef) -> Option<i64> {
    match reference {
        RowRef::Stored(row) => Some(row),
        RowRef::New(_) => None,
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
