//! What a material offers to play: one entry for each episode it names.

use crate::model::raw::kodik::{EpisodeValue, Material};

use super::keys::{Key, SeasonKey};
use super::links::Link;
use super::text::present;

/// One episode in one material.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) season: SeasonKey<'a>,
    pub(super) key: Key<'a>,
    /// The episode's own link; `None` when it is missing or leads nowhere.
    pub(super) link: Option<Link<'a>>,
    pub(super) title: Option<&'a str>,
}

impl Entry<'_> {
    /// Does it count when two uploads of one translation are compared?
    pub(super) fn is_regular_and_linked(&self) -> bool {
        self.link.is_some() && self.season.regular().is_some() && matches!(self.key, Key::Whole(_))
    }
}

/// The episodes of a material. A movie is season 1, episode 1 with the material's own link. A serial never lends its
/// own link to an episode: that page plays whatever the player thinks fit.
pub(super) fn entries(material: &Material) -> Vec<Entry<'_>> {
    if is_movie(material) {
        let link = material.link.as_deref().and_then(Link::parse);
        return vec![Entry { season: SeasonKey::Number(1), key: Key::Whole(1), link, title: None }];
    }
    let seasons = material.seasons.iter().flatten();
    let mut entries =
        Vec::with_capacity(seasons.clone().map(|(_, season)| season.episodes.iter().flatten().count()).sum());
    for (season_key, season) in seasons {
        let season_key = SeasonKey::parse(season_key);
        for (key, value) in season.episodes.iter().flatten() {
            let (link, title) = match value {
                EpisodeValue::Link(link) => (Some(link.as_str()), None),
                EpisodeValue::Data(data) => (data.link.as_deref(), present(data.title.as_ref())),
                EpisodeValue::Missing(()) => (None, None),
            };
            entries.push(Entry { season: season_key, key: Key::parse(key), link: link.and_then(Link::parse), title });
        }
    }
    // Text keys sort as 1, 10, 11, 2; and "01" beside "1" is one episode: the first with a link counts.
    entries.sort_by(|a, b| (a.season, a.key, a.link.is_none()).cmp(&(b.season, b.key, b.link.is_none())));
    entries.dedup_by(|later, kept| later.season == kept.season && later.key == kept.key);
    entries
}

/// A material without seasons is a movie unless its id, type or episode counters say that it is a serial whose seasons
/// the source left out.
fn is_movie(material: &Material) -> bool {
    if material.seasons.as_ref().is_some_and(|seasons| !seasons.is_empty()) {
        return false;
    }
    if material.id.starts_with("movie-") {
        return true;
    }
    let kind_is_serial = material.kind.as_deref().is_some_and(|kind| kind.ends_with("-serial"));
    let is_serial = material.seasons.is_some()
        || material.id.starts_with("serial-")
        || kind_is_serial
        || material.last_season.is_some()
        || material.last_episode.is_some()
        || material.episodes_count.is_some();
    !is_serial
}

#[cfg(test)]
mod tests {
    use super::entries;
    use crate::model::raw::kodik::Material;

    fn keys(json: serde_json::Value) -> Vec<String> {
        let material: Material = serde_json::from_value(json).expect("a material");
        let entries = entries(&material);
        let shown = entries.iter().map(|entry| format!("{:?} {:?} {}", entry.season, entry.key, entry.link.is_some()));
        shown.collect()
    }

    #[test]
    fn movies_are_one_episode_and_bare_serials_none() {
        let link = "//p.example/x";
        let movie = ["Number(1) Whole(1) true"];
        assert_eq!(keys(serde_json::json!({"id": "movie-1", "type": "anime", "link": link})), movie);
        assert_eq!(keys(serde_json::json!({"id": "movie-1", "link": link, "seasons": {}})), movie);
        assert_eq!(keys(serde_json::json!({"id": "77", "type": "anime", "link": link})), movie);
        let none: [&str; 0] = [];
        assert_eq!(keys(serde_json::json!({"id": "serial-1", "link": link})), none);
        assert_eq!(keys(serde_json::json!({"id": "77", "type": "anime-serial", "link": link})), none);
        assert_eq!(keys(serde_json::json!({"id": "77", "last_episode": 3, "link": link})), none);
        assert_eq!(keys(serde_json::json!({"id": "serial-1", "link": link, "seasons": {"1": {"link": link}}})), none);
    }

    #[test]
    fn equal_keys_are_one_episode_with_the_link_that_works() {
        let json = serde_json::json!({"id": "serial-1", "seasons": {
            "1": {"episodes": {"10": "//p.example/10", "2": null, "02": {"link": "//p.example/2"}, "3": "nowhere"}},
            "01": {"episodes": {"4": "//p.example/4"}},
        }});
        assert_eq!(
            keys(json),
            [
                "Number(1) Whole(2) true",
                "Number(1) Whole(3) false",
                "Number(1) Whole(4) true",
                "Number(1) Whole(10) true"
            ]
        );
    }
}
