//! Imports by parts, as the existing contract has them: the series, then episodes of it, then one video at a time.
//!
//! A part is no complete view, so nothing is ever taken away because a part does not mention it. Beyond that the rules
//! of whole titles hold: good data never give way to nothing, a row that a person edited or switched off stays so, and
//! what is the same is not written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use super::importer::{self, season_of};
use super::services::names;
use super::{BackendError, Catalogue};
use crate::model::{Change, EpisodeClass};
use crate::observe::events;
use crate::store::catalogue::{
    self, Card, CardPut, EpisodeRow, ImageOwner, KnownEpisode, Put, RowRef, StoredCard, StoredEpisode, StoredVideo,
    Switch, TitleKey, VideoKey, VideoRow, episode_class,
};
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints =
    CrashPoints { before: "catalogue.part.before_commit", after: "catalogue.part.after_commit" };

/// One episode of an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EpisodePart {
    /// Unique inside the source.
    pub source_episode_id: String,
    /// Whole number.
    pub number: u32,
    /// Title.
    pub title: Option<String>,
    /// Can it be watched?
    pub is_available: bool,
}

/// One video of an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VideoPart {
    /// Which.
    pub key: VideoKey,
    /// `iframe`, `hls`, …
    pub player_type: String,
    /// Higher = preferred.
    pub priority: i32,
}

/// What became of an import of episodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpisodesOutcome {
    /// How many were sent.
    pub total: usize,
    /// How many of them were taken, changed or not.
    pub imported: usize,
    /// Rows that were written.
    pub written: usize,
    /// One line for each that was not taken.
    pub errors: Vec<String>,
}

impl Catalogue {
    /// Brings the card of a series up to date; `None` = it was already.
    pub async fn import_card(&self, key: TitleKey, card: Card) -> Result<Option<Change>, BackendError> {
        let slug = names::slug_of(&card.title, &card.alternative_titles, &key.source_id);
        let part = Arc::new((key, card, slug));
        let import = || {
            let part = Arc::clone(&part);
            self.store().write(POINTS, move |session| {
                let (key, card, slug) = &*part;
                catalogue::lock_title(session, key)?;
                let Some(put) = card_put(catalogue::card(session, key)?.as_ref(), card, slug) else { return Ok(None) };
                let now = now();
                let row = catalogue::put_card(session, key, &put, now)?;
                importer::stage_part(session, key, "card", card, None, now)?;
                let (CardPut::Insert { card: shown, .. } | CardPut::Update { card: shown, .. }) = &put;
                let new = matches!(put, CardPut::Insert { .. });
                importer::picture_shown(session, ImageOwner::Series(row), shown.poster.as_deref(), new)?;
                if let CardPut::Update { .. } = put {
                    return Ok(Some(Change::Updated));
                }
                importer::series_arrived(session, key, row, now)?;
                Ok(Some(Change::Created))
            })
        };
        patiently(import).await
    }

    /// Brings episodes of a series up to date; `None` = there is no such series.
    pub async fn import_episodes(
        &self,
        key: TitleKey,
        episodes: Vec<EpisodePart>,
    ) -> Result<Option<EpisodesOutcome>, BackendError> {
        let ids: Vec<String> = episodes.iter().map(|episode| episode.source_episode_id.clone()).collect();
        let part = Arc::new((key, episodes, ids));
        let import = || {
            let part = Arc::clone(&part);
            self.store().write(POINTS, move |session| {
                let (key, episodes, ids) = &*part;
                catalogue::lock_title(session, key)?;
                let Some(known) = catalogue::known_episodes(session, key, ids)? else { return Ok(None) };
                let (puts, outcome) = episode_puts(&known.episodes, &key.source_id, episodes);
                if !puts.is_empty() {
                    let now = now();
                    let refused = (!outcome.errors.is_empty()).then(|| outcome.errors.join("; "));
                    catalogue::put_episodes(session, &known, &puts, now)?;
                    importer::stage_part(session, key, "episodes", episodes, refused.as_deref(), now)?;
                }
                Ok(Some(outcome))
            })
        };
        patiently(import).await
    }

    /// Brings one video up to date; `None` = there is no such episode, `Some(None)` = it was up to date already.
    pub async fn import_video(&self, video: VideoPart) -> Result<Option<Option<Change>>, BackendError> {
        let part = Arc::new(video);
        let import = || {
            let video = Arc::clone(&part);
            self.store().write(POINTS, move |session| {
                session.lock(&format!("video {} {}", video.key.source_episode_id, video.key.url))?;
                let Some(known) = catalogue::known_video(session, &video.key)? else { return Ok(None) };
                let Some(put) = video_put(known.video.as_ref(), known.episode, &video) else { return Ok(Some(None)) };
                let now = now();
                catalogue::put_video(session, &known, &put, now)?;
                importer::stage_video(session, &video.key, &*video, now)?;
                Ok(Some(Some(if put.row.is_some() { Change::Updated } else { Change::Created })))
            })
        };
        patiently(import).await
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Each attempt waits for SQLite's lock already; another process' long transaction may take longer.
async fn patiently<T, F, Fut>(import: F) -> Result<T, BackendError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, crate::store::StoreError>>,
{
    let patience =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(3).with_jitter();
    (|| async { import().await.map_err(BackendError::from) })
        .retry(patience)
        .when(BackendError::is_transient)
        .notify(|error, delay| events::store_locked(&error.to_string(), delay))
        .await
}

/// The card as it shall be; `None` = it stays as it is.
fn card_put(stored: Option<&StoredCard>, new: &Card, slug: &str) -> Option<CardPut> {
    let Some(stored) = stored else {
        return Some(CardPut::Insert { card: new.clone(), slug: slug.to_owned() });
    };
    if stored.admin_modified {
        return None;
    }
    let old = &stored.card;
    let list = |new: &Vec<String>, old: &Vec<String>| if new.is_empty() { old.clone() } else { new.clone() };
    let card = Card {
        title: new.title.clone(),
        alternative_titles: list(&new.alternative_titles, &old.alternative_titles),
        description: new.description.clone().or_else(|| old.description.clone()),
        year: new.year.or(old.year),
        status: new.status.or(old.status),
        poster: new.poster.clone().or_else(|| old.poster.clone()),
        genres: list(&new.genres, &old.genres),
    };
    (card != *old).then_some(CardPut::Update { row: stored.row, card })
}

/// Which rows to write. An id that comes twice counts twice and the last one stands, as if they had been sent one by one.
fn episode_puts(known: &[KnownEpisode], series: &str, new: &[EpisodePart]) -> (Vec<Put<EpisodeRow>>, EpisodesOutcome) {
    let known: HashMap<&str, &KnownEpisode> =
        known.iter().map(|known| (known.episode.source_episode_id.as_str(), known)).collect();
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(new.len());
    for (index, part) in new.iter().enumerate() {
        last.insert(&part.source_episode_id, index);
    }
    let mut puts = Vec::new();
    let mut outcome = EpisodesOutcome { total: new.len(), ..EpisodesOutcome::default() };
    for (index, part) in new.iter().enumerate() {
        let id = part.source_episode_id.as_str();
        let before = match known.get(id) {
            Some(known) if !known.own => {
                outcome.errors.push(format!("Episode {} (ID: {id}): the ID belongs to another anime", part.number));
                continue;
            }
            Some(known) => Some(&known.episode),
            None => None,
        };
        outcome.imported += 1;
        if last.get(id) == Some(&index) {
            puts.extend(episode_put(before, series, part));
        }
    }
    outcome.written = puts.len();
    (puts, outcome)
}

fn episode_put(before: Option<&StoredEpisode>, series: &str, new: &EpisodePart) -> Option<Put<EpisodeRow>> {
    let switch = match before {
        Some(before) if before.disabled => Switch::Disabled,
        _ if new.is_available => Switch::On,
        _ => Switch::Off,
    };
    let Some(before) = before else {
        let season = season_of(series, &new.source_episode_id);
        let data = EpisodeRow {
            source_episode_id: new.source_episode_id.clone(),
            season,
            key: new.number.to_string(),
            number: new.number,
            title: new.title.clone(),
            class: if season == 0 { EpisodeClass::Special } else { EpisodeClass::Regular },
            switch,
        };
        return Some(Put { row: None, data });
    };
    let moved = before.number != new.number;
    let data = EpisodeRow {
        source_episode_id: new.source_episode_id.clone(),
        season: before.season,
        key: if moved { new.number.to_string() } else { before.key.clone() },
        number: new.number,
        title: new.title.clone().or_else(|| before.title.clone()),
        class: class_of(&before.class),
        switch,
    };
    let same = !moved && data.title == before.title && (data.switch == Switch::On) == before.is_active;
    (!same).then_some(Put { row: Some(before.row), data })
}

fn class_of(word: &str) -> EpisodeClass {
    [EpisodeClass::Special, EpisodeClass::Joined]
        .into_iter()
        .find(|class| episode_class(*class) == word)
        .unwrap_or(EpisodeClass::Regular)
}

fn video_put(stored: Option<&StoredVideo>, episode: i64, new: &VideoPart) -> Option<Put<VideoRow>> {
    let switch = if stored.is_some_and(|stored| stored.disabled) { Switch::Disabled } else { Switch::On };
    if let Some(stored) = stored
        && stored.player_type == new.player_type
        && stored.priority == new.priority
        && stored.is_active == (switch == Switch::On)
    {
        return None;
    }
    Some(Put {
        row: stored.map(|stored| stored.row),
        data: VideoRow {
            episode: RowRef::Stored(episode),
            release: stored.and_then(|stored| stored.release_row).map(RowRef::Stored),
            player_type: new.player_type.clone().into(),
            player_source: new.key.player_source.clone().into(),
            url: new.key.url.clone(),
            priority: new.priority,
            switch,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{EpisodePart, card_put, episode_puts, season_of};
    use crate::model::SeriesStatus;
    use crate::store::catalogue::{Card, CardPut, KnownEpisode, StoredCard, StoredEpisode, Switch};

    fn card(title: &str) -> Card {
        Card {
            title: title.to_owned(),
            alternative_titles: vec!["Other".to_owned()],
            description: Some("Words".to_owned()),
            year: Some(2020),
            status: Some(SeriesStatus::Ongoing),
            poster: Some("https://img.test/1.jpg".to_owned()),
            genres: vec!["Drama".to_owned()],
        }
    }

    fn stored(title: &str, admin_modified: bool) -> StoredCard {
        StoredCard { row: 7, card: card(title), admin_modified }
    }

    fn known(id: &str, own: bool, active: bool, disabled: bool) -> KnownEpisode {
        let episode = StoredEpisode {
            row: 3,
            source_episode_id: id.to_owned(),
            season: 4,
            key: "1-2".to_owned(),
            number: 1,
            title: Some("Start".to_owned()),
            class: "joined".to_owned(),
            is_active: active,
            disabled,
        };
        KnownEpisode { own, episode }
    }

    fn part(id: &str, number: u32, is_available: bool) -> EpisodePart {
        EpisodePart { source_episode_id: id.to_owned(), number, title: None, is_available }
    }

    #[test]
    fn nothing_never_replaces_something() {
        let empty = Card {
            alternative_titles: vec![],
            description: None,
            year: None,
            status: None,
            poster: None,
            genres: vec![],
            ..card("A")
        };
        assert_eq!(card_put(Some(&stored("A", false)), &empty, "a"), None, "the same title and nothing else");
        let renamed = Card { title: "B".to_owned(), ..empty };
        let expected = CardPut::Update { row: 7, card: card("B") };
        assert_eq!(card_put(Some(&stored("A", false)), &renamed, "b"), Some(expected));
        assert_eq!(card_put(Some(&stored("A", true)), &renamed, "b"), None, "a person's row stays");
    }

    #[test]
    fn episodes_come_and_go_unless_a_person_said_otherwise() {
        let switch = |known: KnownEpisode, available| {
            let (puts, _) = episode_puts(&[known], "5", &[part("5:1", 1, available)]);
            puts.first().map(|put| put.data.switch)
        };
        assert_eq!(switch(known("5:1", true, true, false), true), None);
        assert_eq!(switch(known("5:1", true, true, false), false), Some(Switch::Off));
        assert_eq!(switch(known("5:1", true, false, false), true), Some(Switch::On));
        assert_eq!(switch(known("5:1", true, false, false), false), None);
        assert_eq!(switch(known("5:1", true, false, true), true), None, "switched off by hand");
    }

    #[test]
    fn what_a_part_does_not_say_stays() {
        let (puts, outcome) = episode_puts(&[known("5:1-2", true, true, false)], "5", &[part("5:1-2", 3, true)]);
        let data = &puts[0].data;
        assert_eq!((data.season, data.key.as_str(), data.number), (4, "3", 3));
        assert_eq!(data.title.as_deref(), Some("Start"));
        assert_eq!((outcome.total, outcome.imported, outcome.written), (1, 1, 1));
    }

    #[test]
    fn an_episode_of_another_title_is_refused_alone() {
        let parts = [part("9:1", 1, true), part("5:2", 2, true), part("5:2", 4, true)];
        let (puts, outcome) = episode_puts(&[known("9:1", false, true, false)], "5", &parts);
        assert_eq!(outcome.errors, ["Episode 1 (ID: 9:1): the ID belongs to another anime"]);
        assert_eq!((outcome.total, outcome.imported, puts.len()), (3, 2, 1));
        assert_eq!(puts[0].data.number, 4, "the last of two stands");
    }

    #[test]
    fn ids_may_name_their_season() {
        for (id, season) in
            [("5:3", 1), ("5:s2:3", 2), ("5:s0:1", 0), ("5:s:1", 1), ("5:s+2:1", 1), ("x", 1), ("6:s2:3", 1)]
        {
            assert_eq!(season_of("5", id), season, "{id}");
        }
    }
}
