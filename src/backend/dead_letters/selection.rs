//! Which dead letters. Pure.

use std::collections::HashSet;

use super::DeadLetter;

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only those whose reason matches.
    pub reason: Option<regex::Regex>,
    /// Only those that were given up since, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Only these; empty = all.
    pub ids: HashSet<String>,
    /// Only those that were given up until then.
    pub until: Option<i64>,
    /// Also those that are dealt with.
    pub all: bool,
}

impl Selection {
    /// As far as the letter itself says.
    pub(super) fn fits(&self, letter: &DeadLetter) -> bool {
        (self.ids.is_empty() || self.ids.contains(&letter.id))
            && self.since.is_none_or(|since| letter.at().is_none_or(|at| at >= since))
            && self.until.is_none_or(|until| letter.at().is_none_or(|at| at <= until))
            && self.reason.as_ref().is_none_or(|pattern| pattern.is_match(&letter.reason()))
    }

    /// As far as the store says, which knows what was done with it.
    pub(super) fn takes_settled(&self, letter: &DeadLetter) -> bool {
        self.all || letter.settled.is_none()
    }
}

/// A time, a date or a span before now (`90m`, `24h`, `7d`), in milliseconds since 1970; or what is wrong with it.
pub fn moment(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is neither a time, nor a date, nor a span like `90m`");
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        let at = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
        return Ok(at.timestamp().as_millisecond());
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let span = count.checked_mul(seconds * 1000).filter(|span| *span >= 0).ok_or_else(wrong)?;
    Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(span))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn times_dates_and_spans_are_understood() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        let now = jiff::Timestamp::now().as_millisecond();
        let span = moment("2h").unwrap();
        assert!((now - 7_200_000 - span).abs() < 60_000);
        for wrong in ["", "h", "-1h", "yesterday", "9999999999999999999d"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
