//! One-line texts (names of titles, studios, genres, people): cleaned for showing, folded for comparing.

use std::collections::HashSet;

/// Longer texts are not names; a source that sends one sends rubbish.
const MAX_CHARS: usize = 500;

/// The text without outer space, with single spaces, without control and zero-width characters. `None` when nothing is
/// left or when it is too long to be a name.
pub(super) fn line(raw: &str) -> Option<String> {
    let mut clean = String::with_capacity(raw.len().min(MAX_CHARS * 4));
    let mut chars = 0;
    for word in raw.split_whitespace() {
        let before = clean.len();
        for char in word.chars().filter(|char| !is_invisible(*char)) {
            if clean.len() == before && before > 0 {
                clean.push(' ');
            }
            clean.push(char);
            chars += 1;
            if chars > MAX_CHARS {
                return None;
            }
        }
    }
    (!clean.is_empty()).then_some(clean)
}

/// Characters that show nothing but make two equal texts differ.
pub(super) fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// A text that is there and not blank, trimmed.
pub(super) fn present(raw: Option<&String>) -> Option<&str> {
    raw.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The usable texts of a list that may hold `null`.
pub(super) fn all_present(raw: Option<&Vec<Option<String>>>) -> impl Iterator<Item = &str> {
    raw.into_iter().flatten().filter_map(|text| present(text.as_ref()))
}

/// Clean texts in the order given, the first of those that differ only in letter case.
pub(super) fn distinct<'a>(raw: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    raw.filter_map(line).filter(|text| seen.insert(text.to_lowercase())).collect()
}

/// The value that occurs most often; of several, the smallest. Sources disagree now and then, and neither the order of
/// their answers nor one odd record may decide.
pub(super) fn most_common<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    let mut best: Option<(usize, T)> = None;
    let mut values = values.into_iter().peekable();
    while let Some(value) = values.next() {
        let mut count = 1;
        while values.next_if_eq(&value).is_some() {
            count += 1;
        }
        if best.as_ref().is_none_or(|(most, _)| count > *most) {
            best = Some((count, value));
        }
    }
    best.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{distinct, line, most_common};

    #[test]
    fn lines_are_cleaned() {
        assert_eq!(line("  Имя\u{A0}\r\n  дома "), Some("Имя дома".to_owned()));
        assert_eq!(line("\u{200B}A\u{0}B \u{FEFF} C"), Some("AB C".to_owned()));
        assert_eq!(line(" \u{A0}\t"), None);
        assert_eq!(line(&"x".repeat(501)), None);
    }

    #[test]
    fn duplicates_differ_in_more_than_case() {
        assert_eq!(distinct(["Драма", " драма", "ДРАМА ", "Боевик"].into_iter()), ["Драма", "Боевик"]);
    }

    #[test]
    fn the_most_common_value_wins_and_then_the_smallest() {
        assert_eq!(most_common([3, 1, 3, 2].into_iter()), Some(3));
        assert_eq!(most_common([2, 1].into_iter()), Some(1));
        assert_eq!(most_common(std::iter::empty::<u8>()), None);
    }
}
