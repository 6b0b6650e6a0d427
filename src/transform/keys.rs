//! Season and episode keys: how they are parsed, and how they become ids that cannot collide.

use std::fmt::Write as _;

use crate::model::{EpisodeClass, EpisodeId, EpisodeKey, SeriesId};

/// Backends keep numbers in signed 32 bits; a greater one is treated as an odd key.
const MAX_NUMBER: u32 = i32::MAX as u32;

/// Ids stay short: a longer odd key is replaced by its hash.
const MAX_ODD_KEY: usize = 80;

/// A season key. Numbers come first when sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SeasonKey<'a> {
    /// `"4"`; zero holds the specials.
    Number(u32),
    /// Anything else: kept apart by its text and treated like specials.
    Odd(&'a str),
}

impl<'a> SeasonKey<'a> {
    /// `"04"` and `"4"` are the same season.
    pub(super) fn parse(raw: &'a str) -> Self {
        number(raw.trim()).map_or(Self::Odd(raw.trim()), Self::Number)
    }

    /// The number of a season that is not the specials'.
    pub(super) fn regular(self) -> Option<u32> {
        match self {
            Self::Number(season) if season >= 1 => Some(season),
            _ => None,
        }
    }

    /// The number in the record; odd seasons share the specials' zero.
    pub(super) fn number(self) -> u32 {
        self.regular().unwrap_or(0)
    }
}

/// An episode key, borrowed. Sorted as [`EpisodeKey`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Whole(u32),
    Joined(u32, u32),
    Other(&'a str),
}

impl<'a> Key<'a> {
    /// `"01"` is 1, `"1-2"` is joined, everything else stays as it is.
    pub(super) fn parse(raw: &'a str) -> Self {
        let raw = raw.trim();
        if let Some(whole) = number(raw) {
            return Self::Whole(whole);
        }
        let pair = raw.split_once('-').and_then(|(first, last)| Some((number(first.trim())?, number(last.trim())?)));
        match pair {
            Some((first, last)) if first < last => Self::Joined(first, last),
            _ => Self::Other(raw),
        }
    }

    /// The contract's `number`: whole, the first of a joined pair, the leading digits of an odd key, else zero.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Whole(whole) => whole,
            Self::Joined(first, _) => first,
            Self::Other(text) => {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                number(&text[..digits]).unwrap_or(0)
            }
        }
    }

    pub(super) fn owned(self) -> EpisodeKey {
        match self {
            Self::Whole(whole) => EpisodeKey::Whole(whole),
            Self::Joined(first, last) => EpisodeKey::Joined(first, last),
            Self::Other(text) => EpisodeKey::Other(text.to_owned()),
        }
    }
}

/// Which rule lets the episode through.
pub(super) fn class(season: SeasonKey<'_>, key: Key<'_>) -> EpisodeClass {
    match (season.regular(), key) {
        (None, _) => EpisodeClass::Special,
        (Some(_), Key::Whole(_)) => EpisodeClass::Regular,
        (Some(_), Key::Joined(..) | Key::Other(_)) => EpisodeClass::Joined,
    }
}

/// The id of an episode; `main_season` is the lowest regular season of the title (see `episodes` for the rule).
///
/// `series[:season]:key` with
/// season = nothing for the main season, `s4` for other regular ones, `s0` for specials, `x:KEY` for an odd season key;
/// key = `12`, `1-2`, or `x:KEY` for an odd key (in an odd season always the bare key).
/// Odd keys are percent-encoded except for letters, digits, `.`, `_` and `-`, so they hold no `:` and two different
/// ones never become the same.
pub(super) fn id(series: SeriesId, season: SeasonKey<'_>, key: Key<'_>, main_season: Option<u32>) -> EpisodeId {
    let mut id = String::with_capacity(24);
    // Writing into a String cannot fail.
    let _ = write!(id, "{series}:");
    let odd_season = match season {
        SeasonKey::Number(number) if Some(number) == main_season => false,
        SeasonKey::Number(number) => {
            let _ = write!(id, "s{number}:");
            false
        }
        SeasonKey::Odd(text) => {
            id.push_str("x:");
            push_encoded(&mut id, text);
            id.push(':');
            true
        }
    };
    match key {
        Key::Whole(whole) => {
            let _ = write!(id, "{whole}");
        }
        Key::Joined(first, last) => {
            let _ = write!(id, "{first}-{last}");
        }
        Key::Other(text) => {
            if !odd_season {
                id.push_str("x:");
            }
            push_encoded(&mut id, text);
        }
    }
    EpisodeId(id)
}

fn push_encoded(id: &mut String, text: &str) {
    let start = id.len();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            id.push(char::from(byte));
        } else {
            let _ = write!(id, "%{byte:02X}");
        }
        if id.len() - start > MAX_ODD_KEY {
            id.truncate(start);
            // `~` occurs in no encoded key.
            let _ = write!(id, "~{}", &blake3::hash(text.as_bytes()).to_hex()[..32]);
            return;
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= MAX_NUMBER)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{Key, SeasonKey, class, id};
    use crate::model::{EpisodeClass, SeriesId};

    #[test]
    fn keys_are_parsed_canonically() {
        assert_eq!(Key::parse(" 01 "), Key::Whole(1));
        assert_eq!(Key::parse("0"), Key::Whole(0));
        assert_eq!(Key::parse("01-02"), Key::Joined(1, 2));
        for odd in ["2-1", "1-1", "1-2-3", "-1", "+1", "6.5", "SP1", "", "4294967296", "2147483648", "１"] {
            assert_eq!(Key::parse(odd), Key::Other(odd), "{odd}");
        }
        assert_eq!(Key::Other("6.5").number(), 6);
        assert_eq!(Key::Other("SP1").number(), 0);
        assert_eq!(Key::Other("99999999999").number(), 0);
        assert_eq!(SeasonKey::parse("04"), SeasonKey::Number(4));
        assert_eq!(SeasonKey::parse("OVA"), SeasonKey::Odd("OVA"));
    }

    #[test]
    fn classes_follow_season_and_key() {
        assert_eq!(class(SeasonKey::Number(2), Key::Whole(0)), EpisodeClass::Regular);
        assert_eq!(class(SeasonKey::Number(2), Key::Joined(1, 2)), EpisodeClass::Joined);
        assert_eq!(class(SeasonKey::Number(0), Key::Whole(1)), EpisodeClass::Special);
        assert_eq!(class(SeasonKey::Odd("OVA"), Key::Other("x")), EpisodeClass::Special);
    }

    #[test]
    fn ids_say_where_they_come_from() {
        let made = |season, key| id(SeriesId(21), SeasonKey::parse(season), Key::parse(key), Some(4)).0;
        assert_eq!(made("4", "1"), "21:1");
        assert_eq!(made("5", "1"), "21:s5:1");
        assert_eq!(made("0", "1"), "21:s0:1");
        assert_eq!(made("4", "1-2"), "21:1-2");
        assert_eq!(made("5", "1-2"), "21:s5:1-2");
        assert_eq!(made("4", "6.5"), "21:x:6.5");
        assert_eq!(made("4", "a:б"), "21:x:a%3A%D0%B1");
        assert_eq!(made("OVA", "1"), "21:x:OVA:1");
        assert_eq!(made("4", &"x".repeat(500)).len(), "21:x:~".len() + 32);
    }

    proptest! {
        #[test]
        fn different_keys_never_share_an_id(
            keys in prop::collection::vec(("([0-9]{1,2}|s[0-9]|x|[a-z:%~-]{0,3})", "([0-9]{1,2}|[0-9]-[0-9]|x:[0-9]|.{0,3}|[xs:%~-]{0,4})"), 1..40),
            main in 1_u32..4,
        ) {
            let mut seen = HashMap::new();
            for (season, key) in &keys {
                let parsed = (SeasonKey::parse(season), Key::parse(key));
                let id = id(SeriesId(7), parsed.0, parsed.1, Some(main));
                prop_assert!(id.0.len() < 200);
                let first = *seen.entry(id.clone()).or_insert(parsed);
                prop_assert_eq!(first, parsed, "both have the id {}", id);
            }
        }
    }
}
