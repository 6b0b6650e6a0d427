//! Loading over the existing import contract: series, then episodes, then one request for each video.
//!
//! The backend has no read-back, so what it acknowledged is remembered ([`Sent`]): only what is new or different is
//! sent, and what was taken stays remembered even when another part of the title was refused.

mod answer;
mod diff;
mod payload;
mod send;

use std::collections::HashSet;

use futures::stream::{FuturesOrdered, StreamExt};
use secrecy::SecretString;

pub use answer::{Answer, classify};
pub use diff::{Diff, diff};
pub use payload::{AnimePayload, EpisodePayload, EpisodesPayload, PlayerPayload, VideoPayload, validate};

use super::LoadError;
use crate::http::Service;
use crate::model::{Change, Failure, Outcome, TitleRecord, Video, Writes};
use crate::store::sent::{Sent, SentTitle};
use send::{Client, Endpoint, Part, Trouble};

/// Episodes in one request.
const EPISODES: usize = 500;

/// What the loader needs.
#[derive(Debug)]
pub struct Settings {
    /// The backend; its profile should judge answers with [`classify`].
    pub service: Service,
    /// `INTERNAL_TOKEN`.
    pub token: SecretString,
    /// `kodik-shikimori`.
    pub source_name: String,
    /// Videos in flight.
    pub concurrency: usize,
    /// What was acknowledged.
    pub sent: Sent,
}

/// The contract's client.
#[derive(Debug)]
pub struct Contract {
    client: Client,
    source_name: String,
    concurrency: usize,
    sent: Sent,
    target: String,
}

/// What one pass over a title came to.
struct Pass {
    /// There will be another one: what is lost is not worth sending the rest.
    first: bool,
    /// Something that was acknowledged once is not there: everything must be sent.
    lost: bool,
    writes: Writes,
    acknowledged: SentTitle,
    refused: Vec<Part>,
    /// The run must stop.
    stop: Option<LoadError>,
}

impl Contract {
    /// A client of `settings.service`.
    pub fn new(settings: Settings) -> Result<Self, LoadError> {
        let Settings { service, token, source_name, concurrency, sent } = settings;
        let target = target(service.base_url(), &source_name);
        Ok(Self { client: Client::new(service, token)?, source_name, concurrency: concurrency.max(1), sent, target })
    }

    /// `contract:<address>#<source name>`, without password and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Loads one title; see [`super::Loader::load`].
    pub async fn load(&self, record: &TitleRecord, known: Option<&str>) -> Result<Outcome, LoadError> {
        let fingerprint = record.fingerprint();
        if known == Some(fingerprint.as_str()) {
            return Ok(Outcome::Unchanged);
        }
        let problems = validate(record);
        if !problems.is_empty() {
            return Ok(Outcome::Failed(invalid(problems)));
        }
        let id = record.series.id;
        let before = self.sent.get(&self.target, id).await?;
        let existed = before.is_some();
        let before = before.unwrap_or_default();
        if before.fingerprint.as_deref() == Some(fingerprint.as_str()) {
            return Ok(Outcome::Unchanged);
        }
        let mut pass = self.pass(record, &before).await;
        if pass.lost && pass.stop.is_none() {
            // The backend has lost what it once acknowledged (or never had the parent): once more, from the start. The
            // payload of the series is still good to fill gaps with.
            let anew = SentTitle { parts: Vec::new(), ..before.clone() };
            pass = self.pass_all(record, &anew).await;
        }
        if pass.refused.is_empty() && pass.stop.is_none() {
            pass.acknowledged.fingerprint = Some(fingerprint);
        }
        if pass.acknowledged != before {
            self.sent.put(&self.target, id, pass.acknowledged).await?;
        }
        if let Some(error) = pass.stop {
            return Err(error);
        }
        if !pass.refused.is_empty() {
            return Ok(Outcome::Failed(send::failure(pass.refused)));
        }
        if pass.writes.total() == 0 {
            return Ok(Outcome::Unchanged);
        }
        Ok(Outcome::Loaded { change: if existed { Change::Updated } else { Change::Created }, writes: pass.writes })
    }

    /// Sends what is new or different.
    async fn pass(&self, record: &TitleRecord, before: &SentTitle) -> Pass {
        let diff = diff(&self.source_name, record, before);
        let anime = diff.anime.clone();
        self.send(record, before, diff, anime, true).await
    }

    /// Sends everything, the series included.
    async fn pass_all(&self, record: &TitleRecord, before: &SentTitle) -> Pass {
        let diff = diff(&self.source_name, record, before);
        let anime = diff.anime.clone().or_else(|| before.anime.clone());
        self.send(record, before, diff, anime, false).await
    }

    async fn send(
        &self,
        record: &TitleRecord,
        before: &SentTitle,
        diff: Diff<'_>,
        anime: Option<String>,
        first: bool,
    ) -> Pass {
        let Diff { anime: changed, episodes, videos, kept, titles, .. } = diff;
        let mut pass = Pass {
            first,
            lost: false,
            writes: Writes::default(),
            acknowledged: SentTitle { parts: kept, fingerprint: None, ..before.clone() },
            refused: Vec::new(),
            stop: None,
        };
        if let Some(text) = anime {
            match self.client.post(Endpoint::Anime, text.clone()).await {
                Ok(errors) if errors.is_empty() => {
                    pass.writes.series = 1;
                    pass.acknowledged.anime = Some(text);
                    if changed.is_some() {
                        pass.acknowledged.origin = Some(record.origin);
                    }
                }
                Ok(errors) => return pass.give_up(Part::partial(&format!("series {}", record.series.id), &errors)),
                Err(trouble) => return pass.give_up(trouble.of(format!("series {}", record.series.id))),
            }
        }
        let mut missing = HashSet::new();
        for chunk in episodes.chunks(EPISODES) {
            self.send_episodes(record, chunk, &mut pass, &mut missing).await;
            if pass.is_over() {
                return pass.sorted();
            }
        }
        pass.acknowledged.titles = titles;
        pass.acknowledged.titles.retain(|id, _| !missing.contains(id));
        self.send_videos(&videos, &missing, &mut pass).await;
        pass.sorted()
    }

    async fn send_episodes(
        &self,
        record: &TitleRecord,
        chunk: &[(u64, EpisodePayload<'_>)],
        pass: &mut Pass,
        missing: &mut HashSet<String>,
    ) {
        let episodes: Vec<_> = chunk.iter().map(|(_, episode)| episode.clone()).collect();
        let id = record.series.id.to_string();
        let payload = EpisodesPayload { source_name: &self.source_name, anime_source_id: &id, episodes: &episodes };
        let names = || chunk.iter().map(|(_, episode)| episode.source_episode_id);
        match self.client.post(Endpoint::Episodes, diff::json(&payload)).await {
            Ok(errors) => {
                // A line that names no episode of ours may mean any of them.
                let known: HashSet<&str> = names().collect();
                let refused: Vec<Option<&str>> =
                    errors.iter().map(|line| answer::refused_episode(line).filter(|id| known.contains(id))).collect();
                let any = refused.contains(&None);
                for (hash, episode) in chunk {
                    let id = episode.source_episode_id;
                    if any || refused.contains(&Some(id)) {
                        missing.insert(id.to_owned());
                    } else {
                        pass.writes.episodes += 1;
                        pass.acknowledged.parts.push(*hash);
                    }
                }
                pass.refused.extend(errors.into_iter().map(|line| Part::partial_line("episodes", &line)));
            }
            Err(trouble) => {
                missing.extend(names().map(str::to_owned));
                let part = trouble.of(format!("episodes of {id}"));
                pass.take(part);
            }
        }
    }

    async fn send_videos(&self, videos: &[(u64, &Video)], missing: &HashSet<String>, pass: &mut Pass) {
        let (ready, orphans): (Vec<_>, Vec<_>) =
            videos.iter().partition(|(_, video)| !missing.contains(&video.episode_id.0));
        if !orphans.is_empty() {
            pass.refused.push(Part::orphans(orphans.len()));
        }
        let mut waiting = ready.into_iter();
        let mut under_way = FuturesOrdered::new();
        loop {
            while under_way.len() < self.concurrency
                && let Some((hash, video)) = waiting.next()
            {
                under_way.push_back(self.send_video(hash, video));
            }
            let Some((hash, video, answer)) = under_way.next().await else { return };
            let name = || format!("video {} (translation {})", video.episode_id, video.translation_id);
            match answer {
                Ok(errors) if errors.is_empty() => {
                    pass.writes.videos += 1;
                    pass.acknowledged.parts.push(hash);
                }
                Ok(errors) => pass.refused.push(Part::partial(&name(), &errors)),
                Err(trouble) => pass.take(trouble.of(name())),
            }
            // An order error or a stop: what is under way is dropped, and sent again another time.
            if pass.is_over() {
                return;
            }
        }
    }

    async fn send_video<'a>(&self, hash: u64, video: &'a Video) -> (u64, &'a Video, Result<Vec<String>, Trouble>) {
        let payload = diff::json(&VideoPayload::new(&self.source_name, video));
        (hash, video, self.client.post(Endpoint::Video, payload).await)
    }
}

impl Pass {
    fn take(&mut self, part: Part) {
        self.lost |= part.lost;
        if let Some(error) = part.stop {
            self.stop = Some(error);
        } else {
            self.refused.push(part);
        }
    }

    fn give_up(mut self, part: Part) -> Self {
        self.take(part);
        self.sorted()
    }

    fn is_over(&self) -> bool {
        self.stop.is_some() || (self.lost && self.first)
    }

    fn sorted(mut self) -> Self {
        self.acknowledged.parts.sort_unstable();
        self.acknowledged.parts.dedup();
        self
    }
}

pub(super) fn invalid(problems: Vec<String>) -> Failure {
    let reason = match problems.as_slice() {
        [one] => format!("the backend would refuse it: {one}"),
        [first, ..] => format!("the backend would refuse it: {first} (and {} more)", problems.len() - 1),
        [] => String::new(),
    };
    Failure {
        stage: "contract".to_owned(),
        code: "validation".to_owned(),
        reason,
        retryable: false,
        parts: send::bounded(problems),
    }
}

/// The identity of a backend: its address without anything secret, and the name our titles have there.
pub(super) fn target(base_url: &url::Url, source_name: &str) -> String {
    let mut address = base_url.clone();
    // Fails only for addresses without a host, which have no user either.
    let _ = address.set_username("");
    let _ = address.set_password(None);
    address.set_query(None);
    address.set_fragment(None);
    format!("contract:{}#{source_name}", address.as_str().trim_end_matches('/'))
}
