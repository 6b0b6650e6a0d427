//! Year, status, dates and points in time, each `None` when a source does not really know.

use jiff::Timestamp;

use crate::model::raw::kodik::Material;
use crate::model::raw::shikimori::GraphDate;
use crate::model::{Date, SeriesStatus};

use super::metadata::Metadata;
use super::text::most_common;

/// Shikimori writes a date whose year is unknown with this year.
const UNKNOWN_YEAR: i64 = 1901;

/// The year of the title: from the first air date, else the season key, else Kodik's own year of the materials.
/// `material_data.year` may belong to another entry of the franchise and counts only when nothing else is known.
pub(super) fn year(metadata: &Metadata<'_>, materials: &[&Material]) -> Option<u16> {
    metadata
        .aired_on
        .and_then(|date| u16::try_from(date.year).ok())
        .or_else(|| metadata.season.and_then(season_year))
        .or_else(|| item_year(materials))
        .or_else(|| metadata.last_resort_year.and_then(accepted))
}

/// The year most materials carry.
pub(super) fn item_year(materials: &[&Material]) -> Option<u16> {
    most_common(materials.iter().filter_map(|material| material.year.and_then(accepted)))
}

/// `winter_2023` → 2023.
fn season_year(season: &str) -> Option<u16> {
    let digits = season.rsplit('_').next().unwrap_or(season);
    let plain = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().and_then(known)
}

/// The contract takes 1900..=2100.
fn accepted(year: i64) -> Option<u16> {
    u16::try_from(year).ok().filter(|year| (1900..=2100).contains(year))
}

/// An accepted year that is not the sentinel.
fn known(year: i64) -> Option<u16> {
    accepted(year).filter(|_| year != UNKNOWN_YEAR)
}

/// The contract's status; `None` for anything the contract has no word for.
pub(super) fn status(raw: Option<&str>) -> Option<SeriesStatus> {
    match raw?.to_ascii_lowercase().as_str() {
        "ongoing" => Some(SeriesStatus::Ongoing),
        "released" => Some(SeriesStatus::Completed),
        "anons" => Some(SeriesStatus::Upcoming),
        _ => None,
    }
}

/// `2013-04-06`; a wrong month or day is left out, a wrong or sentinel year makes the whole date unknown.
pub(super) fn from_text(text: &str) -> Option<Date> {
    let day_part = text.split(['T', ' ']).next().unwrap_or(text);
    let mut parts = day_part.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let year = parts.next().flatten()?;
    date(year, parts.next().flatten(), parts.next().flatten())
}

/// A date with unknown parts.
pub(super) fn from_graph(raw: &GraphDate) -> Option<Date> {
    match raw.year {
        Some(year) => date(year, raw.month, raw.day),
        None => raw.date.as_deref().and_then(from_text),
    }
}

fn date(year: i64, month: Option<i64>, day: Option<i64>) -> Option<Date> {
    let year = i16::try_from(known(year)?).ok()?;
    let month = month.and_then(|month| i8::try_from(month).ok()).filter(|month| (1..=12).contains(month));
    let day = month.and_then(|month| {
        let day = day.and_then(|day| i8::try_from(day).ok())?;
        // 30 February is no day, but the month may still be right.
        jiff::civil::Date::new(year, month, day).is_ok().then_some(day)
    });
    Some(Date { year, month, day })
}

/// RFC 3339 with any offset.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{from_graph, from_text, season_year, status, timestamp};
    use crate::model::raw::shikimori::GraphDate;
    use crate::model::{Date, SeriesStatus};

    #[test]
    fn dates_keep_what_is_known() {
        assert_eq!(from_text("2013-04-06"), Some(Date { year: 2013, month: Some(4), day: Some(6) }));
        assert_eq!(from_text("2013-02-31"), Some(Date { year: 2013, month: Some(2), day: None }));
        assert_eq!(from_text("2013"), Some(Date { year: 2013, month: None, day: None }));
        assert_eq!(from_text("2013-13-01"), Some(Date { year: 2013, month: None, day: None }));
        assert_eq!(from_text("1901-01-01"), None);
        assert_eq!(from_text("-1-1-1"), None);
        assert_eq!(from_text("soon"), None);
        let graph = GraphDate { year: Some(2024), month: Some(7), day: None, date: None };
        assert_eq!(from_graph(&graph), Some(Date { year: 2024, month: Some(7), day: None }));
        assert_eq!(from_graph(&GraphDate { month: Some(7), ..GraphDate::default() }), None);
    }

    #[test]
    fn years_come_from_season_keys() {
        assert_eq!(season_year("winter_2023"), Some(2023));
        assert_eq!(season_year("2023"), Some(2023));
        for unknown in ["winter_1901", "winter_2101", "199x", "winter_", "ancient", "+202"] {
            assert_eq!(season_year(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn only_the_contracts_status_words_pass() {
        assert_eq!(status(Some("ongoing")), Some(SeriesStatus::Ongoing));
        assert_eq!(status(Some("Released")), Some(SeriesStatus::Completed));
        assert_eq!(status(Some("anons")), Some(SeriesStatus::Upcoming));
        assert_eq!(status(Some("paused")), None);
        assert_eq!(status(None), None);
    }

    #[test]
    fn points_in_time_become_utc() {
        let moscow = timestamp("2026-05-02T18:30:00.000+03:00");
        assert_eq!(moscow, timestamp("2026-05-02T15:30:00Z"));
        assert!(moscow.is_some());
        assert_eq!(timestamp("tomorrow"), None);
    }
}
