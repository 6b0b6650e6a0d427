//! Which material stands for a translation, in which order translations are preferred, and how releases are described.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::raw::kodik::{BlockedEpisodes, BlockedSeasons, Material, RawTranslation, Text};
use crate::model::{MaterialId, Release, Translation, TranslationId, TranslationKind};

use super::dates::timestamp;
use super::keys::SeasonKey;
use super::rules::Rules;
use super::seasons::{Entry, entries};
use super::text::{line, present};

/// A material with everything that is needed to compare it and to play it.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    pub(super) material: &'a Material,
    pub(super) translation: Translation,
    pub(super) priority: i32,
    pub(super) entries: Vec<Entry<'a>>,
    regular: usize,
    updated_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
}

/// The uploads that become releases, and what was left out.
#[derive(Debug)]
pub(super) struct Uploads<'a> {
    /// One for each translation, most preferred first.
    pub(super) kept: Vec<Upload<'a>>,
    pub(super) reuploads: u32,
    pub(super) excluded: u32,
}

/// The materials in the order of their ids, each once. A listing that moves while it is read shows a material twice;
/// the later state of it counts. It is no re-upload, and leaves no trace in the record.
pub(super) fn distinct(materials: &[Material]) -> Vec<&Material> {
    let mut sorted: Vec<&Material> = materials.iter().collect();
    let age = |material: &Material| Reverse(material.updated_at.as_deref().and_then(timestamp));
    sorted.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| age(a).cmp(&age(b))));
    sorted.dedup_by(|later, kept| later.id == kept.id);
    sorted
}

/// One upload for each translation: the one with most episodes, of equal ones the newest. Excluded translations go as a
/// whole. Kept + re-uploads + excluded = materials.
pub(super) fn choose<'a>(materials: &[&'a Material], rules: &Rules) -> Uploads<'a> {
    let mut uploads: Vec<Upload<'a>> = materials.iter().map(|material| Upload::of(material, rules)).collect();
    uploads.sort_by(|a, b| a.translation.id.cmp(&b.translation.id).then_with(|| a.rank().cmp(&b.rank())));
    let all = uploads.len();
    uploads.dedup_by(|worse, kept| worse.translation.id == kept.translation.id);
    let translations = uploads.len();
    uploads.retain(|upload| !rules.excludes(&upload.translation));
    let excluded = count(translations - uploads.len());
    for upload in &mut uploads {
        upload.priority = rules.priority(&upload.translation);
    }
    uploads.sort_by_key(|upload| (Reverse(upload.priority), upload.translation.id));
    Uploads { kept: uploads, reuploads: count(all - translations), excluded }
}

/// The releases of the record, in the order of the uploads; `episodes` says how many each one really carries.
pub(super) fn describe(uploads: &[Upload<'_>], episodes: &[u32]) -> Vec<Release> {
    uploads
        .iter()
        .zip(episodes)
        .map(|(upload, episodes)| Release {
            material_id: MaterialId(upload.material.id.clone()),
            translation: upload.translation.clone(),
            priority: upload.priority,
            quality: present(upload.material.quality.as_ref()).and_then(line),
            camrip: upload.material.camrip.unwrap_or(false),
            episodes: *episodes,
            blocked_countries: blocked_countries(upload.material),
            blocked_seasons: upload.material.blocked_seasons.as_ref().map(blocked_seasons).unwrap_or_default(),
            updated_at: upload.updated_at,
        })
        .collect()
}

impl<'a> Upload<'a> {
    fn of(material: &'a Material, rules: &Rules) -> Self {
        let entries = entries(material);
        Self {
            material,
            translation: translation(material.translation.as_ref(), rules),
            priority: 0,
            regular: entries.iter().filter(|entry| entry.is_regular_and_linked()).count(),
            entries,
            updated_at: material.updated_at.as_deref().and_then(timestamp),
            created_at: material.created_at.as_deref().and_then(timestamp),
        }
    }

    /// Smaller is better. Ids are unique, so no two uploads are equal.
    fn rank(&self) -> impl Ord + use<'a> {
        (Reverse((self.regular, self.updated_at, self.created_at)), self.material.id.as_str())
    }
}

/// A material that names no translation still plays: it stands under id 0.
fn translation(raw: Option<&RawTranslation>, rules: &Rules) -> Translation {
    let id = raw.and_then(|raw| raw.id).unwrap_or(0);
    let title = raw.and_then(|raw| raw.title.as_deref()).and_then(line);
    let kind = match raw.and_then(|raw| raw.kind.as_deref()).map(str::trim) {
        Some("voice") => TranslationKind::Voice,
        Some("subtitles") => TranslationKind::Subtitles,
        _ => TranslationKind::Unknown,
    };
    let id = TranslationId(id);
    let title = title.or_else(|| rules.translation_names.get(&id).cloned());
    let title = title.unwrap_or_else(|| if id.0 == 0 { "Unknown".to_owned() } else { format!("Translation {id}") });
    Translation { id, title, kind }
}

fn blocked_countries(material: &Material) -> Vec<String> {
    let codes = material.blocked_countries.iter().flatten().flatten();
    let codes: BTreeSet<String> = codes.filter_map(|code| line(code)).map(|code| code.to_uppercase()).collect();
    codes.into_iter().collect()
}

/// `all`, `5:all`, `7:1,2`; seasons in numeric order.
fn blocked_seasons(raw: &BlockedSeasons) -> Vec<String> {
    match raw {
        BlockedSeasons::All(word) => line(word).into_iter().collect(),
        BlockedSeasons::Empty(list) => {
            list.iter().flatten().filter_map(|season| line(season)).map(|season| season + ":all").collect()
        }
        BlockedSeasons::Seasons(seasons) => {
            let mut seasons: Vec<_> = seasons.iter().collect();
            seasons.sort_by_key(|(season, _)| SeasonKey::parse(season));
            seasons
                .into_iter()
                .map(|(season, episodes)| format!("{}:{}", season.trim(), blocked_episodes(episodes)))
                .collect()
        }
    }
}

fn blocked_episodes(raw: &BlockedEpisodes) -> String {
    match raw {
        BlockedEpisodes::All(word) => line(word).unwrap_or_else(|| "all".to_owned()),
        BlockedEpisodes::Episodes(episodes) => {
            let episodes: Vec<String> = episodes.iter().filter_map(Text::get).collect();
            // A season that is listed without episodes is blocked as a whole.
            if episodes.is_empty() { "all".to_owned() } else { episodes.join(",") }
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{blocked_seasons, choose, distinct};
    use crate::model::raw::kodik::Material;
    use crate::transform::Rules;

    fn material(id: &str, translation: i64, episodes: u32, updated_at: &str) -> Material {
        let links: serde_json::Map<_, _> =
            (1..=episodes).map(|n| (n.to_string(), format!("//p.example/{id}/{n}").into())).collect();
        let json = serde_json::json!({"id": id, "type": "anime-serial", "updated_at": updated_at,
            "translation": {"id": translation, "title": "Studio", "type": "voice"},
            "seasons": {"1": {"episodes": links}}});
        serde_json::from_value(json).expect("a material")
    }

    fn winners(materials: &[Material], rules: &Rules) -> (Vec<String>, u32, u32) {
        let materials = distinct(materials);
        let uploads = choose(&materials, rules);
        (uploads.kept.iter().map(|upload| upload.material.id.clone()).collect(), uploads.reuploads, uploads.excluded)
    }

    #[test]
    fn most_episodes_win_then_the_newest_then_the_id() {
        let rules = Rules::default();
        let fewer = material("serial-1", 5, 2, "2025-01-01T00:00:00Z");
        let more = material("serial-2", 5, 3, "2020-01-01T00:00:00Z");
        let newer = material("serial-3", 5, 3, "2021-01-01T00:00:00Z");
        let twin = material("serial-4", 5, 3, "2021-01-01T03:00:00+03:00");
        assert_eq!(winners(&[fewer.clone(), more.clone()], &rules).0, ["serial-2"]);
        assert_eq!(winners(&[newer.clone(), more.clone(), fewer.clone()], &rules), (vec!["serial-3".into()], 2, 0));
        assert_eq!(winners(&[twin.clone(), newer.clone()], &rules).0, ["serial-3"]);
        assert_eq!(winners(&[newer, twin], &rules).0, ["serial-3"]);
    }

    #[test]
    fn a_material_seen_twice_is_no_reupload() {
        let early = material("serial-1", 5, 2, "2025-01-01T00:00:00Z");
        let late = material("serial-1", 5, 3, "2025-01-08T00:00:00Z");
        for order in [[early.clone(), late.clone()], [late, early]] {
            let materials = distinct(&order);
            let uploads = choose(&materials, &Rules::default());
            assert_eq!((uploads.kept.len(), uploads.kept[0].regular, uploads.reuploads), (1, 3, 0));
        }
    }

    #[test]
    fn excluded_translations_are_counted() {
        let rules = Rules { excluded_translations: vec!["6".parse().expect("a selector")], ..Rules::default() };
        let materials = [
            material("serial-1", 5, 1, "2025-01-01T00:00:00Z"),
            material("serial-2", 6, 1, "2025-01-01T00:00:00Z"),
            material("serial-3", 6, 2, "2025-01-01T00:00:00Z"),
        ];
        assert_eq!(winners(&materials, &rules), (vec!["serial-1".into()], 1, 1));
    }

    #[test]
    fn the_three_shapes_of_blocked_seasons_become_text() {
        let text = |json| blocked_seasons(&serde_json::from_value(json).expect("a shape"));
        assert_eq!(text(serde_json::json!("all")), ["all"]);
        assert_eq!(text(serde_json::json!({"10": "all", "7": ["1", 2], "5": []})), ["5:all", "7:1,2", "10:all"]);
        assert!(text(serde_json::json!({})).is_empty());
        assert!(text(serde_json::json!([])).is_empty());
    }
}
