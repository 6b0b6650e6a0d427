//! Types: what kind a series is, how a release is translated, how important a character is.
//!
//! The sets are open: a word that is not known stays, in the form that known ones have (`tv_special`), so that the same
//! kind never has two spellings.

use crate::model::{CharacterRole, EpisodeClass, TranslationKind};

/// Longer words are no types.
const LONGEST: usize = 64;

/// Other spellings of kinds of series.
const SERIES: &[(&str, &str)] = &[
    ("tv_series", "tv"),
    ("serial", "tv"),
    ("series", "tv"),
    ("тв", "tv"),
    ("film", "movie"),
    ("feature", "movie"),
    ("фильм", "movie"),
    ("oad", "ova"),
    ("oav", "ova"),
    ("web", "ona"),
    ("sp", "special"),
    ("specials", "special"),
    ("спешл", "special"),
    ("tv_sp", "tv_special"),
    ("clip", "music"),
    ("music_video", "music"),
    ("mv", "music"),
    ("клип", "music"),
    ("promo", "pv"),
    ("trailer", "pv"),
    ("commercial", "cm"),
];

/// Other spellings of what one series is to another.
const RELATIONS: &[(&str, &str)] = &[
    ("parent_story", "parent"),
    ("main_story", "parent"),
    ("side", "side_story"),
    ("spinoff", "spin_off"),
    ("alternative", "alternative_version"),
    ("recap", "summary"),
];

/// A word of an open set: lower case, parts joined by `_`; `None` when nothing is left.
pub fn word(text: &str) -> Option<String> {
    let mut word = String::with_capacity(text.len());
    for c in text.to_lowercase().chars() {
        if c.is_alphanumeric() || c == '+' {
            word.push(c);
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
    }
    word.truncate(word.trim_end_matches('_').len());
    (!word.is_empty() && word.len() <= LONGEST).then_some(word)
}

fn known(text: &str, spellings: &[(&str, &str)]) -> Option<String> {
    let word = word(text)?;
    match spellings.iter().find(|(spelling, _)| *spelling == word) {
        Some((_, kind)) => Some((*kind).to_owned()),
        None => Some(word),
    }
}

/// `tv`, `movie`, `ova`, `ona`, `special`, `tv_special`, `music`, `pv`, `cm`, or whatever the source says.
pub fn series(text: &str) -> Option<String> {
    known(text, SERIES)
}

/// What another series is to this one: `parent`, `sequel`, `prequel`, `side_story`, …
pub fn relation(text: &str) -> Option<String> {
    known(text, RELATIONS)
}

/// Voice or subtitles.
pub fn release(text: &str) -> TranslationKind {
    match word(text).as_deref() {
        Some("voice" | "voiceover" | "voice_over" | "dub" | "dubbed" | "dubbing" | "озвучка") => {
            TranslationKind::Voice
        }
        Some("subtitles" | "subtitle" | "subs" | "sub" | "subbed" | "субтитры") => TranslationKind::Subtitles,
        _ => TranslationKind::Unknown,
    }
}

/// Main or supporting.
pub fn role(text: &str) -> CharacterRole {
    match word(text).as_deref() {
        Some("main" | "main_character" | "primary" | "protagonist" | "lead") => CharacterRole::Main,
        _ => CharacterRole::Supporting,
    }
}

/// Regular, special or joined; what is not said follows from the season and from whether the key is a whole number.
pub fn episode(text: Option<&str>, season: u32, whole: bool) -> EpisodeClass {
    match text.and_then(word).as_deref() {
        Some("regular") => EpisodeClass::Regular,
        Some("special") => EpisodeClass::Special,
        Some("joined") => EpisodeClass::Joined,
        _ if season == 0 => EpisodeClass::Special,
        _ if whole => EpisodeClass::Regular,
        _ => EpisodeClass::Joined,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{episode, relation, release, role, series, word};
    use crate::model::{CharacterRole, EpisodeClass, TranslationKind};

    #[test]
    fn kinds_have_one_spelling() {
        for (text, kind) in [
            ("tv", "tv"),
            ("TV Series", "tv"),
            ("Film", "movie"),
            ("OAD", "ova"),
            ("TV-Special", "tv_special"),
            ("Music Video", "music"),
            ("pv", "pv"),
            (" CM ", "cm"),
            ("Hologram  show!", "hologram_show"),
        ] {
            assert_eq!(series(text).as_deref(), Some(kind), "{text}");
        }
        for nothing in ["", " - ", "!!!"] {
            assert_eq!(series(nothing), None, "{nothing}");
        }
        assert_eq!(relation("Parent story").as_deref(), Some("parent"));
    }

    #[test]
    fn translations_roles_and_classes_are_recognised() {
        assert_eq!(release("Dub"), TranslationKind::Voice);
        assert_eq!(release("Subtitles"), TranslationKind::Subtitles);
        assert_eq!(release("opera"), TranslationKind::Unknown);
        assert_eq!(role("Main"), CharacterRole::Main);
        assert_eq!(role("Background"), CharacterRole::Supporting);
        assert_eq!(episode(None, 0, true), EpisodeClass::Special);
        assert_eq!(episode(None, 1, true), EpisodeClass::Regular);
        assert_eq!(episode(None, 1, false), EpisodeClass::Joined);
        assert_eq!(episode(Some("Special"), 1, true), EpisodeClass::Special);
    }

    proptest! {
        #[test]
        fn a_word_stays_as_it_is(text in ".{0,40}") {
            let once = word(&text);
            prop_assert_eq!(once.as_deref().and_then(word), once.clone());
            let kind = series(&text);
            prop_assert_eq!(kind.as_deref().and_then(series), kind.clone());
        }
    }
}
