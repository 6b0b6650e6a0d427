//! What an operator may decide about records: languages, translation priorities, what to leave out.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::model::{Translation, TranslationId};

/// The rules of one run. The default gives the records the existing backend expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Which name becomes the title, most wanted first. What the list does not name comes after it, names that make a
    /// good ASCII slug first.
    pub title_preference: Vec<Language>,
    /// Language of genre names: [`Language::Russian`], or English for every other value.
    pub genre_language: Language,
    /// Translations from most to least preferred; the rest follows by kind (see [`Rules::priority`]).
    pub translation_priorities: Vec<TranslationSelector>,
    /// Translations that are never sent. Wins over `translation_priorities`.
    pub excluded_translations: Vec<TranslationSelector>,
    /// Send the episodes of season 0?
    pub include_specials: bool,
    /// Send joined (`1-2`) and otherwise odd (`6.5`) episodes?
    pub include_joined: bool,
    /// Names of translations by id, for materials that name only the id.
    pub translation_names: BTreeMap<TranslationId, String>,
    /// Where Shikimori's relative image paths lead, `https://shikimori.io`.
    pub shikimori_asset_base: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            title_preference: vec![Language::Romaji, Language::English],
            genre_language: Language::English,
            translation_priorities: Vec::new(),
            excluded_translations: Vec::new(),
            include_specials: false,
            include_joined: false,
            translation_names: BTreeMap::new(),
            shikimori_asset_base: "https://shikimori.io".to_owned(),
        }
    }
}

impl Rules {
    /// The priority of a translation; players are shown sorted by it, highest first.
    ///
    /// The i-th entry of `translation_priorities` gives `1000 - 10·i`, but never less than 101, so that every listed
    /// translation stands before every unlisted one. Unlisted: voice 100, unknown kind 50, subtitles 0.
    pub fn priority(&self, translation: &Translation) -> i32 {
        use crate::model::TranslationKind::{Subtitles, Unknown, Voice};

        let listed = position(&self.translation_priorities, translation);
        match (listed, translation.kind) {
            (Some(index), _) => 1000 - i32::try_from(index).unwrap_or(i32::MAX).saturating_mul(10).min(899),
            (None, Voice) => 100,
            (None, Unknown) => 50,
            (None, Subtitles) => 0,
        }
    }

    /// Is the translation left out?
    pub fn excludes(&self, translation: &Translation) -> bool {
        position(&self.excluded_translations, translation).is_some()
    }
}

fn position(selectors: &[TranslationSelector], translation: &Translation) -> Option<usize> {
    if selectors.is_empty() {
        return None;
    }
    let name = translation.title.to_lowercase();
    selectors.iter().position(|selector| match selector {
        TranslationSelector::Id(id) => *id == translation.id,
        TranslationSelector::Name(wanted) => *wanted == name,
    })
}

/// A language in which a title may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Japanese in Latin letters; Shikimori's `name`.
    Romaji,
    /// English.
    English,
    /// Russian.
    Russian,
    /// Japanese.
    Japanese,
}

/// Why a text is not a [`Language`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a language (romaji, english, russian, japanese)")]
pub struct UnknownLanguage(pub String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "romaji" => Ok(Self::Romaji),
            "english" | "en" => Ok(Self::English),
            "russian" | "ru" => Ok(Self::Russian),
            "japanese" | "ja" => Ok(Self::Japanese),
            _ => Err(UnknownLanguage(text.trim().to_owned())),
        }
    }
}

/// Names a translation by Kodik's id (`610`) or by the studio's name (`AniLibria.TV`, in any letter case).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TranslationSelector {
    /// By id.
    Id(TranslationId),
    /// By name, in lower case. Parsing a text makes it so.
    Name(String),
}

/// Why a text is not a [`TranslationSelector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a translation is named by its id or its studio, not by an empty text")]
pub struct UnusableSelector;

impl FromStr for TranslationSelector {
    type Err = UnusableSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(UnusableSelector);
        }
        Ok(trimmed.parse().map_or_else(|_| Self::Name(trimmed.to_lowercase()), |id| Self::Id(TranslationId(id))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, Rules, TranslationSelector};
    use crate::model::{Translation, TranslationId, TranslationKind};

    fn translation(id: i64, title: &str, kind: TranslationKind) -> Translation {
        Translation { id: TranslationId(id), title: title.to_owned(), kind }
    }

    fn selectors(texts: &[&str]) -> Vec<TranslationSelector> {
        texts.iter().map(|text| text.parse().expect("a selector")).collect()
    }

    #[test]
    fn listed_translations_stand_before_all_others() {
        let rules = Rules { translation_priorities: selectors(&["610", "студия ночь"]), ..Rules::default() };
        let priority = |id, title, kind| rules.priority(&translation(id, title, kind));
        assert_eq!(priority(610, "Any", TranslationKind::Subtitles), 1000);
        assert_eq!(priority(7, "Студия НОЧЬ", TranslationKind::Voice), 990);
        assert_eq!(priority(7, "Other", TranslationKind::Voice), 100);
        assert_eq!(priority(7, "Other", TranslationKind::Unknown), 50);
        assert_eq!(priority(7, "Other", TranslationKind::Subtitles), 0);
    }

    #[test]
    fn a_very_long_list_never_falls_below_unlisted_voices() {
        let texts: Vec<String> = (1..=500).map(|id| id.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rules = Rules { translation_priorities: selectors(&texts), ..Rules::default() };
        assert_eq!(rules.priority(&translation(500, "Last", TranslationKind::Subtitles)), 101);
    }

    #[test]
    fn languages_and_selectors_are_parsed() {
        assert_eq!(" Romaji ".parse(), Ok(Language::Romaji));
        assert!("klingon".parse::<Language>().is_err());
        assert_eq!("610".parse(), Ok(TranslationSelector::Id(TranslationId(610))));
        assert_eq!("2x2".parse(), Ok(TranslationSelector::Name("2x2".to_owned())));
        assert!("  ".parse::<TranslationSelector>().is_err());
    }
}
