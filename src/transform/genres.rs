//! Genre names in the configured language. Themes and demographics are genres too.

use super::metadata::GenreName;
use super::rules::Language;
use super::text::distinct;

/// The names, without duplicates. A genre that lacks the wanted language is named in the other one.
pub(super) fn names(genres: &[GenreName<'_>], language: Language) -> Vec<String> {
    distinct(genres.iter().filter_map(|genre| match language {
        Language::Russian => genre.russian.or(genre.english),
        _ => genre.english.or(genre.russian),
    }))
}

#[cfg(test)]
mod tests {
    use super::{GenreName, Language, names};

    #[test]
    fn the_other_language_is_better_than_nothing() {
        let genres = [
            GenreName { english: Some("Drama"), russian: Some("Драма") },
            GenreName { english: None, russian: Some("Гурман") },
            GenreName { english: Some("drama "), russian: None },
            GenreName { english: None, russian: None },
        ];
        assert_eq!(names(&genres, Language::English), ["Drama", "Гурман"]);
        assert_eq!(names(&genres, Language::Russian), ["Драма", "Гурман", "drama"]);
    }
}
