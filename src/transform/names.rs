//! The title of a series and its other names.
//!
//! The backend makes its slug from the ASCII part of the title, so a name that has none is the last choice unless the
//! operator asks for its language.

use std::collections::HashSet;

use crate::model::raw::kodik::Material;

use super::metadata::{Metadata, describes};
use super::rules::{Language, Rules};
use super::text::{all_present, line, present};

/// A hostile answer may name a title a million times.
const MAX_ALTERNATIVES: usize = 100;

/// What a series is called.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) title: String,
    pub(super) alternatives: Vec<String>,
}

/// Picks the title and lists all other names; `None` when no source names the title at all.
pub(super) fn choose(
    metadata: &Metadata<'_>,
    materials: &[&Material],
    year: Option<u16>,
    rules: &Rules,
) -> Option<Names> {
    let every = every_name(metadata, materials, year);
    let title = rules
        .title_preference
        .iter()
        .find_map(|language| wanted(*language, metadata))
        .or_else(|| every.iter().filter_map(|name| line(name)).min_by_key(|name| slug_loss(name)))?;

    let mut seen = HashSet::from([comparable(&title)]);
    let alternatives = every
        .into_iter()
        .filter_map(line)
        .filter(|name| seen.insert(comparable(name)))
        .take(MAX_ALTERNATIVES)
        .collect();
    Some(Names { title, alternatives })
}

/// The name in one language. Romaji and English are asked for because of the slug, so there they must be good for one;
/// Russian or Japanese are asked for in spite of it.
fn wanted(language: Language, metadata: &Metadata<'_>) -> Option<String> {
    match language {
        Language::Romaji => metadata.romaji.and_then(line).filter(|name| slug_loss(name) == 0),
        Language::English => metadata.english.iter().filter_map(|name| line(name)).find(|name| slug_loss(name) == 0),
        Language::Russian => metadata.russian.and_then(line),
        Language::Japanese => metadata.japanese.iter().find_map(|name| line(name)),
    }
}

/// How badly a name suits as a slug: 0 = mostly ASCII, 1 = a bit of ASCII (`Тест 5`), 2 = an empty slug.
fn slug_loss(name: &str) -> u8 {
    let ascii = name.bytes().filter(u8::is_ascii_alphanumeric).count();
    let lost = name.chars().filter(|char| !char.is_ascii() && char.is_alphanumeric()).count();
    match ascii {
        0 => 2,
        _ if ascii >= lost => 0,
        _ => 1,
    }
}

/// All names in a stable order: Shikimori's first, then Kodik's, then those of other sites as far as they are certain to
/// mean this title and not another entry of its franchise.
fn every_name<'a>(metadata: &Metadata<'a>, materials: &[&'a Material], year: Option<u16>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::with_capacity(16);
    names.extend(metadata.romaji);
    names.extend(&metadata.english);
    names.extend(metadata.russian);
    names.extend(&metadata.japanese);
    names.extend(&metadata.synonyms);
    names.extend(metadata.licensed);
    for material in materials {
        names.extend(present(material.title.as_ref()));
        names.extend(present(material.title_orig.as_ref()));
        names.extend(material.other_title.iter().flat_map(|names| names.split(" / ")));
    }
    for material in materials {
        let Some(data) = material.material_data.as_deref() else { continue };
        names.extend(present(data.anime_title.as_ref()));
        names.extend(present(data.anime_license_name.as_ref()));
        if describes(data, material, year) {
            names.extend(present(data.title.as_ref()));
            names.extend(present(data.title_en.as_ref()));
            names.extend(all_present(data.other_titles.as_ref()));
            names.extend(all_present(data.other_titles_en.as_ref()));
            names.extend(all_present(data.other_titles_jp.as_ref()));
        }
    }
    names
}

/// Names that differ only in letter case or in Kodik's `[ТВ-1]` are the same name.
fn comparable(name: &str) -> String {
    without_kind(name).to_lowercase()
}

/// `Повелитель [ТВ-1]` → `Повелитель`. Other brackets belong to the name (`[Heaven's Feel]`).
fn without_kind(name: &str) -> &str {
    const KINDS: [&str; 10] = ["тв", "tv", "ova", "ona", "oad", "ова", "фильм", "спешл", "special", "movie"];
    let Some((base, bracket)) = name.strip_suffix(']').and_then(|open| open.rsplit_once('[')) else { return name };
    let bracket = bracket.trim().to_lowercase();
    let is_kind =
        KINDS.iter().any(|kind| bracket.strip_prefix(kind).is_some_and(|rest| !rest.starts_with(char::is_alphabetic)));
    let base = base.trim_end();
    if is_kind && !base.is_empty() { base } else { name }
}

#[cfg(test)]
mod tests {
    use super::{comparable, slug_loss, without_kind};

    #[test]
    fn only_kinds_are_cut_off() {
        assert_eq!(without_kind("Тихий дом [ТВ-1]"), "Тихий дом");
        assert_eq!(without_kind("Тихий дом [ТВ-1, часть 2]"), "Тихий дом");
        assert_eq!(without_kind("Quiet House [OVA]"), "Quiet House");
        assert_eq!(without_kind("Quiet House [Heaven's Feel]"), "Quiet House [Heaven's Feel]");
        assert_eq!(without_kind("Quiet House [Tvirl]"), "Quiet House [Tvirl]");
        assert_eq!(without_kind("[TV]"), "[TV]");
        assert_eq!(comparable("ТИХИЙ дом [тв-1]"), comparable("Тихий Дом"));
    }

    #[test]
    fn slugs_need_ascii() {
        assert_eq!(slug_loss("Shizuka na Ie"), 0);
        assert_eq!(slug_loss("86"), 0);
        assert_eq!(slug_loss("Überfahrt"), 0);
        assert_eq!(slug_loss("Тест 5"), 1);
        assert_eq!(slug_loss("静かな家"), 2);
    }
}
