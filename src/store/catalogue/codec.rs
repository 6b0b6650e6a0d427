//! The words of the tables for the model's enums, dates and lists.

use crate::model::{CharacterRole, Date, EpisodeClass, EpisodeKey, MetadataOrigin, SeriesStatus, TranslationKind};
use crate::store::sql::SqlError;

/// The word for an origin.
pub fn origin(origin: MetadataOrigin) -> &'static str {
    match origin {
        MetadataOrigin::ShikimoriGraphql => "shikimori_graphql",
        MetadataOrigin::ShikimoriRest => "shikimori_rest",
        MetadataOrigin::MaterialData => "material_data",
    }
}

pub(crate) fn parse_origin(word: &str) -> Result<MetadataOrigin, SqlError> {
    match word {
        "shikimori_graphql" => Ok(MetadataOrigin::ShikimoriGraphql),
        "shikimori_rest" => Ok(MetadataOrigin::ShikimoriRest),
        "material_data" => Ok(MetadataOrigin::MaterialData),
        other => Err(unreadable("origin", other)),
    }
}

pub(super) fn parse_status(word: &str) -> Result<SeriesStatus, SqlError> {
    match word {
        "ongoing" => Ok(SeriesStatus::Ongoing),
        "completed" => Ok(SeriesStatus::Completed),
        "upcoming" => Ok(SeriesStatus::Upcoming),
        other => Err(unreadable("status", other)),
    }
}

/// The word for a class.
pub fn episode_class(class: EpisodeClass) -> &'static str {
    match class {
        EpisodeClass::Regular => "regular",
        EpisodeClass::Special => "special",
        EpisodeClass::Joined => "joined",
    }
}

/// The word for a kind of translation.
pub fn translation_kind(kind: TranslationKind) -> &'static str {
    match kind {
        TranslationKind::Voice => "voice",
        TranslationKind::Subtitles => "subtitles",
        TranslationKind::Unknown => "unknown",
    }
}

/// The word for a role.
pub fn role(role: CharacterRole) -> &'static str {
    match role {
        CharacterRole::Main => "main",
        CharacterRole::Supporting => "supporting",
    }
}

pub(super) fn parse_role(word: &str) -> CharacterRole {
    if word == "main" { CharacterRole::Main } else { CharacterRole::Supporting }
}

/// The key as the source writes it.
pub fn episode_key(key: &EpisodeKey) -> String {
    match key {
        EpisodeKey::Whole(number) => number.to_string(),
        EpisodeKey::Joined(first, last) => format!("{first}-{last}"),
        EpisodeKey::Other(text) => text.clone(),
    }
}

/// `2023`, `2023-04`, `2023-04-07`: what is known.
pub fn date(date: Date) -> String {
    match (date.month, date.day) {
        (Some(month), Some(day)) => format!("{:04}-{month:02}-{day:02}", date.year),
        (Some(month), None) => format!("{:04}-{month:02}", date.year),
        (None, Some(day)) => format!("{:04}--{day:02}", date.year),
        (None, None) => format!("{:04}", date.year),
    }
}

/// Reads what [`date`] writes.
pub fn parse_date(text: &str) -> Result<Date, SqlError> {
    let wrong = || unreadable("date", text);
    // A year may be negative: the sign is not a separator.
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let mut parts = rest.split('-');
    let year = format!("{sign}{}", parts.next().unwrap_or_default()).parse().map_err(|_| wrong())?;
    let mut part = || match parts.next() {
        None | Some("") => Ok(None),
        Some(digits) => digits.parse::<i8>().map(Some).map_err(|_| wrong()),
    };
    Ok(Date { year, month: part()?, day: part()? })
}

pub(super) fn list(items: &[String]) -> String {
    // Strings always serialise.
    serde_json::to_string(items).unwrap_or_else(|_| "[]".to_owned())
}

pub(super) fn parse_list(text: &str) -> Result<Vec<String>, SqlError> {
    if text == "[]" {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|_| unreadable("list", text))
}

pub(super) fn parse_millis(millis: i64) -> Result<jiff::Timestamp, SqlError> {
    jiff::Timestamp::from_millisecond(millis).map_err(|_| unreadable("time", &millis.to_string()))
}

fn unreadable(what: &str, text: &str) -> SqlError {
    let shown: String = text.chars().take(80).collect();
    SqlError::Unreadable(format!("a stored {what} is unreadable: `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::{date, parse_date};
    use crate::model::Date;

    #[test]
    fn dates_survive_the_table_with_any_part_missing() {
        for (year, month, day, text) in [
            (2023, Some(4), Some(7), "2023-04-07"),
            (2023, Some(4), None, "2023-04"),
            (2023, None, None, "2023"),
            (2023, None, Some(7), "2023--07"),
            (33, None, None, "0033"),
        ] {
            let value = Date { year, month, day };
            assert_eq!(date(value), text);
            assert_eq!(parse_date(text).ok(), Some(value));
        }
        assert!(parse_date("spring").is_err());
    }
}
