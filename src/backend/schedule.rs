//! When a job runs: a cron expression in a time zone. Pure: the present is handed in.

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The word for "only when asked for".
pub const OFF: &str = "off";

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Option<Cron>,
    zone: TimeZone,
    text: String,
    zone_name: String,
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not a cron expression.
    #[error("`{0}` is not a cron expression (minute, hour, day of month, month, day of week: `10 2 * * *`) or `off`")]
    Cron(String),
    /// Not a time zone.
    #[error("`{0}` is not a time zone that this system knows (`UTC`, `Europe/Berlin`)")]
    Zone(String),
}

impl Schedule {
    /// Reads a cron expression of five fields (six with seconds in front), or `off`; and the name of a time zone.
    ///
    /// # Errors
    /// Which of the two cannot be read.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let text = cron.trim();
        let cron = if text.eq_ignore_ascii_case(OFF) {
            None
        } else {
            Some(text.parse::<Cron>().map_err(|_| ScheduleError::Cron(text.to_owned()))?)
        };
        let zone_name = zone.trim();
        let zone = TimeZone::get(zone_name).map_err(|_| ScheduleError::Zone(zone_name.to_owned()))?;
        Ok(Self { cron, zone, text: text.to_owned(), zone_name: zone_name.to_owned() })
    }

    /// The first time after `after`; `None` = it never runs by itself.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let cron = self.cron.as_ref()?;
        let next = cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
        Some(next.timestamp())
    }

    /// The expression.
    pub fn cron(&self) -> &str {
        &self.text
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        &self.zone_name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Schedule, ScheduleError};

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let schedule = Schedule::parse(cron, zone).unwrap();
        schedule.next(after.parse().unwrap()).map_or("never".to_owned(), |at| at.to_string())
    }

    #[test]
    fn the_next_run_is_in_the_jobs_own_zone() {
        assert_eq!(next("10 2 * * *", "UTC", "2026-01-10T02:09:59Z"), "2026-01-10T02:10:00Z");
        assert_eq!(next("10 2 * * *", "UTC", "2026-01-10T02:10:00Z"), "2026-01-11T02:10:00Z", "never the same again");
        assert_eq!(next("10 2 * * *", "Europe/Berlin", "2026-01-10T00:00:00Z"), "2026-01-10T01:10:00Z");
        assert_eq!(next("10 2 * * *", "Europe/Berlin", "2026-07-10T00:00:00Z"), "2026-07-10T00:10:00Z");
        assert_eq!(next("off", "UTC", "2026-01-10T00:00:00Z"), "never");
        assert_eq!(next("*/10 * * * * *", "UTC", "2026-01-10T00:00:01Z"), "2026-01-10T00:00:10Z");
    }

    #[test]
    fn a_night_without_that_hour_has_one_run_all_the_same() {
        // In Berlin the clock goes from 2:00 to 3:00 on 2026-03-29, and from 3:00 back to 2:00 on 2026-10-25.
        let spring = next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert!(spring.starts_with("2026-03-29T01:"), "{spring}");
        let autumn = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        assert_eq!(autumn, "2026-10-25T00:30:00Z");
        let after = next("30 2 * * *", "Europe/Berlin", &autumn);
        assert_eq!(after, "2026-10-26T01:30:00Z", "once in that night");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        assert!(matches!(Schedule::parse("often", "UTC"), Err(ScheduleError::Cron(_))));
        assert!(matches!(Schedule::parse("61 2 * * *", "UTC"), Err(ScheduleError::Cron(_))));
        assert!(matches!(Schedule::parse("10 2 * * *", "Europe/Nowhere"), Err(ScheduleError::Zone(_))));
    }

    proptest! {
        #[test]
        fn runs_are_a_day_apart_and_always_later(minute in 0_u8..60, hour in 0_u8..24, after in 0_i64..4_000_000_000) {
            let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), "UTC").unwrap();
            let after = jiff::Timestamp::from_second(after).unwrap();
            let first = schedule.next(after).unwrap();
            prop_assert!(first > after && first.as_second() - after.as_second() <= 86_400);
            let second = schedule.next(first).unwrap();
            prop_assert_eq!(second.as_second() - first.as_second(), 86_400);
        }
    }
}
