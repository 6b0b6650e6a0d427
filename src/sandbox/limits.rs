//! The limits the two services enforce, on the server's clock (passed in).

use std::collections::HashMap;

/// Requests Shikimori allows in one second and in one minute.
const PER_SECOND: u32 = 5;
const PER_MINUTE: u32 = 90;

/// Fixed windows aligned to the epoch: the one-second rule is asked first, and what it refuses does not count for the
/// minute; what the minute refuses has already counted for the second.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    windows: HashMap<(u64, u64), u32>,
}

impl Windows {
    /// Whether a request at this time may pass.
    pub(crate) fn admit(&mut self, now_millis: u64) -> bool {
        let now = now_millis / 1000;
        self.windows.retain(|(length, index), _| *index == now / length);
        [(1, PER_SECOND), (60, PER_MINUTE)].into_iter().all(|(length, limit)| {
            let count = self.windows.entry((length, now / length)).or_insert(0);
            *count += 1;
            *count <= limit
        })
    }
}

/// Kodik's limit is not published: a token bucket stands in for it.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    last_millis: u64,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, level: burst, last_millis: 0 }
    }

    /// Whether a request at this time may pass.
    pub(crate) fn admit(&mut self, now_millis: u64) -> bool {
        let passed = now_millis.saturating_sub(self.last_millis);
        self.last_millis = self.last_millis.max(now_millis);
        #[expect(clippy::cast_precision_loss, reason = "a time between two requests is small")]
        let refill = passed as f64 / 1000.0 * self.rate;
        self.level = (self.level + refill).min(self.burst);
        let admitted = self.level >= 1.0;
        if admitted {
            self.level -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Windows};

    #[test]
    fn five_a_second_aligned_to_the_second() {
        let mut windows = Windows::default();
        let answers: Vec<bool> = (0..7).map(|_| windows.admit(10_900)).collect();
        assert_eq!(answers, [true, true, true, true, true, false, false]);
        assert!(windows.admit(11_000), "a new second");
    }

    #[test]
    fn ninety_a_minute_and_second_refusals_are_free() {
        let mut windows = Windows::default();
        let mut admitted = 0;
        for second in 0..60 {
            for _ in 0..8 {
                admitted += u32::from(windows.admit(120_000 + second * 1000));
            }
        }
        assert_eq!(admitted, 90);
        assert!(windows.admit(180_000), "a new minute");
    }

    #[test]
    fn bucket_allows_a_burst_then_the_rate() {
        let mut bucket = Bucket::new(2.0, 5.0);
        assert_eq!((0..8).filter(|_| bucket.admit(1_000_000)).count(), 5);
        assert!(bucket.admit(1_000_500));
        assert!(!bucket.admit(1_000_500));
    }
}
