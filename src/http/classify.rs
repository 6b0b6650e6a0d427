//! What an answer means when a service has no opinion of its own, and what `Retry-After` says.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::{Response, Verdict};

/// By status alone: whatever the service decided on purpose (2xx, 3xx, 4xx) goes to the caller; 408, 429 and server
/// errors are tried again; gateway errors mean that the service is not there.
pub fn default(response: &Response) -> Verdict {
    match response.status.as_u16() {
        429 => Verdict::Throttled(retry_after(&response.headers, Timestamp::now())),
        502..=504 | 520..=530 => Verdict::Outage(reason(response.status)),
        // Asking for the same thing again cannot help.
        501 | 505 => Verdict::Done,
        408 | 500.. => Verdict::Retry(reason(response.status)),
        _ => Verdict::Done,
    }
}

fn reason(status: StatusCode) -> String {
    format!("status {status}")
}

/// RFC 2822 contains the one date format that HTTP allows to send.
static DATES: DateTimeParser = DateTimeParser::new();

/// The wait that `Retry-After` asks for, whether it says seconds or a date. A date in the past is no wait.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DATES.parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn asked(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(value));
        retry_after(&headers, "2026-10-21T07:28:00Z".parse().unwrap())
    }

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(asked(" 0 "), Some(Duration::ZERO));
        assert_eq!(asked("Wed, 21 Oct 2026 07:30:00 GMT"), Some(Duration::from_mins(2)));
        assert_eq!(asked("Wed, 21 Oct 2026 07:20:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("99999999999999999999"), None);
        assert_eq!(asked("-5"), None);
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn statuses_are_judged() {
        let judge = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            default(&Response { status, headers: HeaderMap::new(), body: Bytes::new() })
        };
        for status in [200, 201, 204, 304, 400, 401, 403, 404, 409, 412, 422, 451, 501] {
            assert_eq!(judge(status), Verdict::Done, "{status}");
        }
        for status in [408, 500, 507] {
            assert!(matches!(judge(status), Verdict::Retry(_)), "{status}");
        }
        for status in [502, 503, 504, 520, 530] {
            assert!(matches!(judge(status), Verdict::Outage(_)), "{status}");
        }
        assert_eq!(judge(429), Verdict::Throttled(None));
    }
}
