//! The episodes of a title out of all its releases. This is the whole rule:
//!
//! - **Which.** An episode exists when at least one kept release has a link of its own for it. Episodes are the same
//!   when their season and episode keys are the same after parsing (`"01"` = `"1"`). A movie is season 1, episode 1.
//!   Whole numbers in regular seasons (1 and up) are always sent; season 0 (and every season whose key is no number)
//!   holds specials, sent when `include_specials` says so; joined (`1-2`) and odd (`6.5`) keys of regular seasons are
//!   sent when `include_joined` says so. What is not sent is counted, each episode in exactly one of: specials, joined,
//!   unlinked.
//! - **Season.** The number is the franchise's, not the title's (a fourth season may be a title of its own and carry
//!   season 4 only), so it is kept, and seasons are never merged.
//! - **Id.** Unique in the whole source, because the backend looks videos up by it alone:
//!
//!   | episode | id |
//!   |---|---|
//!   | whole number, the lowest regular season of the title | `{series}:{n}` |
//!   | whole number, other regular season | `{series}:s{season}:{n}` |
//!   | special | `{series}:s0:{n}` |
//!   | joined | `{series}:1-2`, `{series}:s{season}:1-2` |
//!   | odd key | `{series}:x:6.5`, `{series}:s{season}:x:6.5` |
//!   | in a season whose key is no number | `{series}:x:{season}:{n}` |
//!
//!   With one regular season, whatever its number, ids are the contract's. The lowest regular season is taken over all
//!   linked episodes of the kept releases, sent or not, so switching specials or joined episodes on changes no other id.
//! - **Title.** From the most preferred release that names one.

use crate::model::{Episode, EpisodeClass, SeriesId, Video};

use super::keys::{self, SeasonKey};
use super::links::Link;
use super::releases::Upload;
use super::rules::Rules;
use super::text::line;
use super::videos;

/// Episodes and videos of a title, and what was not sent.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Sorted by (season, number, id).
    pub(super) episodes: Vec<Episode>,
    /// Sorted by (episode id, priority descending, translation id).
    pub(super) videos: Vec<Video>,
    /// Videos of each upload, in the order of the uploads.
    pub(super) episodes_per_upload: Vec<u32>,
    pub(super) specials: u32,
    pub(super) joined: u32,
    pub(super) unlinked: u32,
}

/// Merges the uploads, most preferred first, by the rule above.
pub(super) fn merge(series: SeriesId, uploads: &[Upload<'_>], rules: &Rules) -> Merged {
    let mut entries: Vec<(usize, &super::seasons::Entry<'_>)> = uploads
        .iter()
        .enumerate()
        .flat_map(|(index, upload)| upload.entries.iter().map(move |entry| (index, entry)))
        .collect();
    entries.sort_by_key(|(index, entry)| (entry.season, entry.key, *index));
    let main_season = lowest_regular_season(entries.iter().map(|(_, entry)| *entry));

    let mut merged = Merged { episodes_per_upload: vec![0; uploads.len()], ..Merged::default() };
    merged.videos.reserve(entries.len());
    for same in entries.chunk_by(|(_, a), (_, b)| (a.season, a.key) == (b.season, b.key)) {
        let (_, entry) = same[0];
        let links: Vec<(usize, &Link<'_>)> =
            same.iter().filter_map(|(index, entry)| Some((*index, entry.link.as_ref()?))).collect();
        let class = keys::class(entry.season, entry.key);
        match class {
            _ if links.is_empty() => merged.unlinked += 1,
            EpisodeClass::Special if !rules.include_specials => merged.specials += 1,
            EpisodeClass::Joined if !rules.include_joined => merged.joined += 1,
            _ => {
                let id = keys::id(series, entry.season, entry.key, main_season);
                videos::of_episode(&id, &links, uploads, &mut merged);
                merged.episodes.push(Episode {
                    id,
                    season: entry.season.number(),
                    key: entry.key.owned(),
                    number: entry.key.number(),
                    title: same.iter().find_map(|(_, entry)| entry.title.and_then(line)),
                    class,
                });
            }
        }
    }
    merged.episodes.sort_by(|a, b| (a.season, a.number, &a.id).cmp(&(b.season, b.number, &b.id)));
    // Videos of one episode are already in order.
    merged.videos.sort_by(|a, b| a.episode_id.cmp(&b.episode_id));
    merged
}

fn lowest_regular_season<'a>(entries: impl Iterator<Item = &'a super::seasons::Entry<'a>>) -> Option<u32> {
    entries.filter(|entry| entry.link.is_some()).filter_map(|entry| SeasonKey::regular(entry.season)).min()
}
