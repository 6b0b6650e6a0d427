//! The optional signals: everything beyond the contract, without the sources' stand-ins for "unknown".

use crate::model::raw::kodik::{Material, Text};
use crate::model::{SeriesStatus, Signals};

use super::dates;
use super::metadata::Metadata;
use super::text::{distinct, most_common};

/// The signals of a title.
pub(super) fn of(metadata: &Metadata<'_>, status: Option<SeriesStatus>, materials: &[&Material]) -> Signals {
    let episodes_total = metadata.episodes.and_then(positive);
    Signals {
        kind: metadata.kind.map(str::to_ascii_lowercase),
        score: metadata.score.filter(|score| *score > 0.0 && *score <= 10.0),
        rating: metadata.rating.and_then(rating),
        duration_minutes: metadata.duration.and_then(positive),
        episodes_total,
        episodes_aired: episodes_aired(metadata.episodes_aired, status, episodes_total),
        // A finished title has no next episode, whatever a stale record says.
        next_episode_at: metadata
            .next_episode_at
            .filter(|_| status != Some(SeriesStatus::Completed))
            .and_then(dates::timestamp),
        aired_on: metadata.aired_on,
        released_on: metadata.released_on,
        studios: distinct(metadata.studios.iter().copied()),
        franchise: metadata.franchise.map(str::to_owned),
        season: metadata.season.map(str::to_owned),
        imdb_id: most_common(materials.iter().filter_map(|item| item.imdb_id.as_ref().and_then(Text::get))),
        kinopoisk_id: most_common(materials.iter().filter_map(|item| item.kinopoisk_id.as_ref().and_then(Text::get))),
    }
}

fn positive(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// Zero means "all of them" for a released title, "none yet" for an airing or announced one, and nothing otherwise.
fn episodes_aired(raw: Option<i64>, status: Option<SeriesStatus>, total: Option<u32>) -> Option<u32> {
    match (raw.and_then(|aired| u32::try_from(aired).ok()), status) {
        (Some(aired), _) if aired > 0 => Some(aired),
        (_, Some(SeriesStatus::Completed)) => total,
        (Some(zero), Some(_)) => Some(zero),
        _ => None,
    }
}

/// Shikimori's `pg_13`, `r_plus`; Kodik writes the same as `PG-13`, `R+`.
fn rating(raw: &str) -> Option<String> {
    let word = raw.to_ascii_lowercase().replace('-', "_").replace('+', "_plus");
    (word != "none").then_some(word)
}

#[cfg(test)]
mod tests {
    use super::{episodes_aired, rating};
    use crate::model::SeriesStatus::{Completed, Ongoing, Upcoming};

    #[test]
    fn zero_aired_episodes_mean_different_things() {
        assert_eq!(episodes_aired(Some(0), Some(Completed), Some(12)), Some(12));
        assert_eq!(episodes_aired(None, Some(Completed), Some(12)), Some(12));
        assert_eq!(episodes_aired(Some(0), Some(Upcoming), Some(12)), Some(0));
        assert_eq!(episodes_aired(Some(5), Some(Ongoing), None), Some(5));
        assert_eq!(episodes_aired(Some(0), None, Some(12)), None);
        assert_eq!(episodes_aired(Some(-3), Some(Ongoing), None), None);
    }

    #[test]
    fn ratings_of_both_sources_agree() {
        assert_eq!(rating("PG-13"), rating("pg_13"));
        assert_eq!(rating("R+").as_deref(), Some("r_plus"));
        assert_eq!(rating("none"), None);
    }
}
