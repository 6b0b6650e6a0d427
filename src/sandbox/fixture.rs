//! The hand-written catalogue under `fixtures/sandbox/`, expanded and checked when the sandbox starts.

use std::collections::HashSet;

use jiff::Timestamp;

use super::SandboxError;
use super::data::{EpisodesSpec, Material, SeasonSpec, Title};
use super::reference::REFERENCE;
use super::seasons::{Season, parse_spans};

/// The files, embedded so that the sandbox works from any folder.
const FILES: [(&str, &str); 5] = [
    ("series.json", include_str!("../../fixtures/sandbox/series.json")),
    ("franchises.json", include_str!("../../fixtures/sandbox/franchises.json")),
    ("films.json", include_str!("../../fixtures/sandbox/films.json")),
    ("oddities.json", include_str!("../../fixtures/sandbox/oddities.json")),
    ("hidden.json", include_str!("../../fixtures/sandbox/hidden.json")),
];

/// All titles, ascending by id.
pub(crate) fn load() -> Result<Vec<Title>, SandboxError> {
    let mut titles = Vec::new();
    for (file, text) in FILES {
        let mut part: Vec<Title> =
            serde_json::from_str(text).map_err(|error| SandboxError::fixture(file, error.to_string()))?;
        for title in &mut part {
            expand(title).map_err(|reason| SandboxError::fixture(file, format!("title {}: {reason}", title.id)))?;
        }
        titles.append(&mut part);
    }
    titles.sort_by_key(|title| title.id);
    let mut seen = HashSet::new();
    for title in &titles {
        if !seen.insert(title.id) {
            return Err(SandboxError::fixture("*.json", format!("title {} is there twice", title.id)));
        }
    }
    Ok(titles)
}

/// Fills what the compact notation leaves out: seasons, ids, times.
fn expand(title: &mut Title) -> Result<(), String> {
    if title.id == 0 {
        return Err("a title needs an id".to_owned());
    }
    for genre in &title.genres {
        REFERENCE.genre(*genre).ok_or_else(|| format!("unknown genre {genre}"))?;
    }
    for studio in &title.studios {
        REFERENCE.studio(*studio).ok_or_else(|| format!("unknown studio {studio}"))?;
    }
    let first_day = title.year().map_or_else(
        || "2015-01-01".to_owned(),
        |year| {
            let rest = title.from.as_deref().filter(|from| from.len() == 10).map_or("01-01", |from| &from[5..]);
            format!("{year:04}-{rest}")
        },
    );
    let base = seconds(&format!("{first_day}T18:00:00Z"))?;
    let id = title.id;
    for (index, material) in title.kodik.iter_mut().enumerate() {
        expand_material(material, id, index as u64, base)?;
    }
    Ok(())
}

fn expand_material(material: &mut Material, title: u64, index: u64, base: i64) -> Result<(), String> {
    if material.voice != 0 {
        REFERENCE.translation(material.voice).ok_or_else(|| format!("unknown translation {}", material.voice))?;
    }
    material.seasons = match &material.eps {
        None => Vec::new(),
        Some(EpisodesSpec::One(episodes)) => vec![season("1", None, episodes)?],
        Some(EpisodesSpec::Seasons(seasons)) => seasons
            .iter()
            .map(|(key, spec)| match spec {
                SeasonSpec::Plain(episodes) => season(key, None, episodes),
                SeasonSpec::Titled { title, eps } => season(key, Some(title.clone()), eps),
            })
            .collect::<Result<_, _>>()?,
    };
    let prefix = if material.is_serial() { "serial" } else { "movie" };
    material.id = format!("{prefix}-{}", title * 100 + index);
    // Kodik opened in the middle of the last decade: older titles were all added then.
    let opened = 1_483_228_800;
    let spread = i64::try_from((title * 7919 + index * 104_729) % 86_400).unwrap_or(0);
    let created = base.max(opened) + i64::try_from(index).unwrap_or(0) * 93_600 + spread;
    material.created_at = if material.created.is_empty() { created } else { seconds(&material.created)? };
    let episodes: u32 = material.seasons.iter().map(Season::count).sum();
    material.updated_at = if material.updated.is_empty() {
        material.created_at + i64::from(episodes.min(30)) * 604_800
    } else {
        seconds(&material.updated)?
    };
    Ok(())
}

fn season(key: &str, title: Option<String>, episodes: &str) -> Result<Season, String> {
    let episodes = parse_spans(episodes).ok_or_else(|| format!("cannot read the episodes `{episodes}`"))?;
    Ok(Season { key: key.to_owned(), title, episodes })
}

fn seconds(text: &str) -> Result<i64, String> {
    text.parse::<Timestamp>().map(Timestamp::as_second).map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::load;

    #[test]
    fn the_embedded_catalogue_is_whole() {
        let titles = load().unwrap();
        assert!(titles.len() >= 60, "{} titles", titles.len());
        assert_eq!(titles.iter().filter(|title| title.hidden == Some(404)).count(), 1);
        assert_eq!(titles.iter().filter(|title| title.hidden == Some(451)).count(), 1);
        assert!(titles.iter().any(|title| title.kodik.len() >= 33));
    }
}
