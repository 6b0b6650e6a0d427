//! How single values stand in payloads.

use serde::{Deserialize, Deserializer};

/// `null` is as good as nothing.
pub(in crate::backend::importer) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Does a JSON text hold an escaped U+0000 in a string? Not every engine can store it.
pub(in crate::backend::importer) fn holds_nul(json: &str) -> bool {
    // A backslash escapes the one after it, so `\\u0000` is a backslash and four zeros.
    let mut rest = json.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = &rest[at + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// Dates as `2023`, `2023-04` or `2023-04-07`.
pub(super) mod date {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Date;
    use crate::store::catalogue;

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(in crate::backend::importer) fn serialize<S: Serializer>(
        date: &Option<Date>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match date {
            Some(date) => serializer.serialize_str(&catalogue::date(*date)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::backend::importer) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Date>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let plausible = |date: &Date| {
            date.month.is_none_or(|month| (1..=12).contains(&month))
                && date.day.is_none_or(|day| (1..=31).contains(&day))
        };
        catalogue::parse_date(&text)
            .ok()
            .filter(plausible)
            .map(Some)
            .ok_or_else(|| D::Error::custom("is not a date (`2023`, `2023-04`, `2023-04-07`)"))
    }
}

#[cfg(test)]
mod tests {
    use super::holds_nul;

    #[test]
    fn only_a_real_escape_counts() {
        for (json, holds) in [
            (r#""a\u0000b""#, true),
            (r#""\\u0000""#, false),
            (r#""\\\u0000""#, true),
            (r#""\""#, false),
            ("\\", false),
        ] {
            assert_eq!(holds_nul(json), holds, "{json}");
        }
    }
}
