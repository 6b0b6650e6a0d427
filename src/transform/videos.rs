//! The videos of one episode: one for each translation, each link once.

use std::collections::HashSet;

use crate::model::{EpisodeId, Video};

use super::episodes::Merged;
use super::links::Link;
use super::releases::Upload;

/// Adds the videos of one episode. `links` come from the most preferred upload to the least (then by translation id),
/// so where two translations lead to the same page (compared without scheme and query) the preferred one keeps it.
pub(super) fn of_episode(
    episode: &EpisodeId,
    links: &[(usize, &Link<'_>)],
    uploads: &[Upload<'_>],
    merged: &mut Merged,
) {
    let mut seen = HashSet::with_capacity(links.len());
    for (index, link) in links {
        if !seen.insert(link.identity()) {
            continue;
        }
        let upload = &uploads[*index];
        merged.videos.push(Video {
            episode_id: episode.clone(),
            translation_id: upload.translation.id,
            url: link.to_https(),
            priority: upload.priority,
        });
        merged.episodes_per_upload[*index] += 1;
    }
}
