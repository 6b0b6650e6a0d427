//! What a service allows: rates, permits, time-outs, retries, breaker. Plain values; the layers act on them.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use url::Url;

use super::{Response, Verdict};

/// Everything the client must know about one service.
#[derive(Clone)]
pub struct Profile {
    /// `kodik`, `shikimori`, `backend`: the name in logs, metrics and reports.
    pub name: &'static str,
    /// Requests are relative to this; redirects to another host are errors.
    pub base_url: Url,
    /// Sent with every request; names the application.
    pub user_agent: String,
    /// All of them must admit a request; empty = unlimited.
    pub windows: Vec<Window>,
    /// Requests in flight at most.
    pub permits: usize,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// Retries.
    pub retry: Retry,
    /// Circuit breaker.
    pub breaker: Breaker,
    /// Bytes of a body after decompression.
    pub max_body: u64,
    /// Judges an answer that arrived whole (any status but 3xx).
    pub classify: fn(&Response) -> Verdict,
}

/// Without the base URL, which may hold a password.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("host", &self.base_url.host_str())
            .field("windows", &self.windows)
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

/// One limit of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// A token bucket: `per_second` sustained, `burst` at once. Never more than `burst + per_second · W` in any W seconds.
    Bucket {
        /// Sustained rate, requests per second, > 0.
        per_second: f64,
        /// Bucket size.
        burst: NonZeroU32,
    },
    /// The service counts in windows: never more than `limit` in any `per`, wherever the window starts.
    /// Spaced at `per / (limit − 1)` with no burst, so that network jitter below one spacing cannot break it.
    Counted {
        /// Requests in a window.
        limit: NonZeroU32,
        /// Length of the window.
        per: Duration,
    },
}

/// Time-outs of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// Until the response head is there.
    pub headers: Duration,
    /// The whole attempt, body included.
    pub total: Duration,
}

/// Exponential back-off with full jitter.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Attempts in all (1 = no retry) for transient failures.
    pub max_attempts: u32,
    /// 429 answers in all before giving up; they do not count as attempts.
    pub max_throttled: u32,
    /// First delay's upper bound; doubles each time.
    pub base: Duration,
    /// No delay is shorter.
    pub floor: Duration,
    /// No upper bound is longer.
    pub ceiling: Duration,
    /// No retry starts after this much time, on the wire and in back-off together (waits for the breaker, permits
    /// and tokens not counted). Also the most that one request waits for 429s.
    pub max_elapsed: Duration,
}

/// Circuit breaker: counts consecutive outages (connect errors, time-outs, 502/503/504/52x), not refusals.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    /// Outages in a row that open it; at most `max_attempts`, so that no request fails of an outage alone.
    pub threshold: u32,
    /// How long it stays open before the first probe.
    pub cooldown: Duration,
    /// The cool-down doubles after each failed probe up to this.
    pub max_cooldown: Duration,
    /// Open for longer than this (probes failing): give up, the run stops resumably.
    pub give_up_after: Duration,
}
