//! The request log: what was asked when, on the server's clock, and how fast at most.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Service;

/// Entries kept in memory.
const KEPT: usize = 100_000;

/// One request that reached a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// Microseconds since the sandbox started, on a clock that never steps.
    pub monotonic_us: u64,
    /// Which service was asked.
    pub service: Service,
    /// `GET`, `POST`, ….
    pub method: String,
    /// Without the query.
    pub path: String,
    /// All parameters but the token; for GraphQL what `animes` was asked for.
    pub query: String,
    /// What was answered; 0 = the connection was closed instead.
    pub status: u16,
}

/// The highest number of requests in any window, refused ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// All requests.
    pub requests: u64,
    /// Answered with 429 by the limits.
    pub refused: u64,
    /// In any one second, wherever it begins.
    pub max_sliding_second: u64,
    /// In any sixty seconds, wherever they begin.
    pub max_sliding_minute: u64,
    /// In any second of the clock.
    pub max_clock_second: u64,
    /// In any minute of the clock.
    pub max_clock_minute: u64,
}

/// The log of both services.
#[derive(Debug)]
pub struct RequestLog {
    start: Instant,
    start_epoch_us: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<LoggedRequest>,
    file: Option<File>,
    rates: [Meter; 2],
}

/// Counts in windows.
#[derive(Debug, Default)]
struct Meter {
    rates: Rates,
    /// Times of the last minute, in microseconds.
    recent: VecDeque<u64>,
    clock: [(u64, u64); 2],
}

/// The time of a request on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) monotonic_us: u64,
    pub(crate) at_ms: u64,
}

impl RequestLog {
    pub(crate) fn open(file: Option<&Path>) -> std::io::Result<Self> {
        let file = file.map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose()?;
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            start: Instant::now(),
            start_epoch_us: u64::try_from(epoch.as_micros()).unwrap_or(0),
            inner: Mutex::new(Inner { file, ..Inner::default() }),
        })
    }

    /// Now. Both clocks advance together, so a stepped system clock does not bend the windows.
    pub(crate) fn now(&self) -> Stamp {
        let monotonic_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Stamp { monotonic_us, at_ms: (self.start_epoch_us + monotonic_us) / 1000 }
    }

    pub(crate) fn record(&self, entry: LoggedRequest, refused: bool) {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let meter = &mut inner.rates[usize::from(entry.service == Service::Shikimori)];
        meter.count(entry.monotonic_us, entry.at_ms, refused);
        if let Some(file) = &mut inner.file
            && let Ok(mut line) = serde_json::to_vec(&entry)
        {
            line.push(b'\n');
            // One write for a line: a reader never sees half of it. A full disk must not stop the sandbox.
            let _ = file.write_all(&line);
        }
        if inner.entries.len() == KEPT {
            inner.entries.pop_front();
        }
        inner.entries.push_back(entry);
    }

    /// A copy of what is kept, oldest first.
    pub fn entries(&self) -> Vec<LoggedRequest> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entries.iter().cloned().collect()
    }

    /// How many requests a service has seen, and how fast.
    pub fn rates(&self, service: Service) -> Rates {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.rates[usize::from(service == Service::Shikimori)].rates
    }

    /// Forgets everything but the file.
    pub fn clear(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.entries.clear();
        inner.rates = <[Meter; 2]>::default();
    }
}

impl Meter {
    fn count(&mut self, monotonic_us: u64, at_ms: u64, refused: bool) {
        self.rates.requests += 1;
        self.rates.refused += u64::from(refused);
        self.recent.push_back(monotonic_us);
        while self.recent.front().is_some_and(|first| monotonic_us.saturating_sub(*first) >= 60_000_000) {
            self.recent.pop_front();
        }
        let second = self.recent.iter().rev().take_while(|at| monotonic_us.saturating_sub(**at) < 1_000_000).count();
        self.rates.max_sliding_second = self.rates.max_sliding_second.max(second as u64);
        self.rates.max_sliding_minute = self.rates.max_sliding_minute.max(self.recent.len() as u64);
        let mut highest = [0; 2];
        for ((clock, highest), length) in self.clock.iter_mut().zip(&mut highest).zip([1000, 60_000]) {
            if clock.0 != at_ms / length {
                *clock = (at_ms / length, 0);
            }
            clock.1 += 1;
            *highest = clock.1;
        }
        self.rates.max_clock_second = self.rates.max_clock_second.max(highest[0]);
        self.rates.max_clock_minute = self.rates.max_clock_minute.max(highest[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;

    #[test]
    fn windows_slide() {
        let mut meter = Meter::default();
        for at in [0, 900_000, 950_000, 1_800_000, 61_000_000] {
            meter.count(at, at / 1000, false);
        }
        let rates = meter.rates;
        assert_eq!((rates.max_sliding_second, rates.max_clock_second), (3, 3));
        assert_eq!(rates.max_sliding_minute, 4);
        assert_eq!(rates.max_clock_minute, 4);
        assert_eq!(rates.requests, 5);
    }
}
