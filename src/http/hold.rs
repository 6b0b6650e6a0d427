//! What a 429 means for everybody: until when the whole service is left alone. No clock of its own, no I/O.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest wait after a 429 of a service that neither says how long nor counts in windows.
const BLIND_FLOOR: Duration = Duration::from_secs(1);
/// No blind wait is longer.
const BLIND_CEILING: Duration = Duration::from_mins(1);
/// Added to every wait (times a random number), so that not all runs of a machine come back in one instant.
const JITTER: Duration = Duration::from_millis(250);

/// The pause after 429 answers, shared by all requests of a service.
#[derive(Debug)]
pub(super) struct Hold {
    /// Lengths of the windows the service counts in, shortest first.
    windows: Vec<Duration>,
    /// No request before this.
    until: Option<Instant>,
    /// When the last 429 of a new streak step came; answers to older requests say nothing new.
    since: Option<Instant>,
    /// 429s in a row, counting those of one moment once.
    streak: u32,
}

impl Hold {
    pub(super) fn new(mut windows: Vec<Duration>) -> Self {
        windows.sort_unstable();
        Self { windows, until: None, since: None, streak: 0 }
    }

    /// The instant to wait for, if it is still ahead.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Records the 429 of a request that went out at `sent`, and leaves the service alone for `wait` from `now`.
    pub(super) fn set(&mut self, sent: Instant, now: Instant, wait: Duration) {
        if self.is_news(sent) {
            self.streak = self.streak.saturating_add(1);
            self.since = Some(now);
        }
        let until = now.checked_add(wait).unwrap_or(now);
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
    }

    /// How long to wait for a 429 to a request that went out at `sent`. `asked` (Retry-After) wins; else the next
    /// window: the shortest at first, a longer one with each further 429 in a row. `epoch` is the wall clock's time
    /// since 1970, because servers align their windows to it; `random` is in [0, 1).
    pub(super) fn wait(&self, sent: Instant, asked: Option<Duration>, epoch: Duration, random: f64) -> Duration {
        let jitter = JITTER.mul_f64(random);
        if let Some(asked) = asked {
            return asked.saturating_add(jitter);
        }
        let step = if self.is_news(sent) { self.streak } else { self.streak.saturating_sub(1) };
        let step_index = usize::try_from(step).unwrap_or(usize::MAX);
        match (self.windows.get(step_index), self.windows.last()) {
            (Some(window), _) => to_next(epoch, *window) + jitter,
            // Past the longest window and still refused: our clock or theirs is wrong, so a whole one is waited for.
            (None, Some(longest)) => *longest + jitter,
            (None, None) => {
                let upper = BLIND_FLOOR.saturating_mul(2u32.saturating_pow(step.min(16) + 1)).min(BLIND_CEILING);
                BLIND_FLOOR + upper.saturating_sub(BLIND_FLOOR).mul_f64(random)
            }
        }
    }

    /// A request that went out at `sent` was answered: the streak is over, unless the request is older than it.
    pub(super) fn answered(&mut self, sent: Instant) {
        if self.streak > 0 && self.is_news(sent) {
            self.streak = 0;
        }
    }

    fn is_news(&self, sent: Instant) -> bool {
        self.since.is_none_or(|since| sent >= since)
    }
}

/// From `epoch` to the next multiple of `window`; a whole one if that is now.
fn to_next(epoch: Duration, window: Duration) -> Duration {
    let length = window.as_nanos().max(1);
    let rest = length - epoch.as_nanos() % length;
    u64::try_from(rest).map_or(window, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_next_window_is_aligned_to_the_epoch() {
        assert_eq!(to_next(Duration::from_millis(61_250), SECOND), Duration::from_millis(750));
        assert_eq!(to_next(Duration::from_millis(61_250), MINUTE), Duration::from_millis(58_750));
        assert_eq!(to_next(MINUTE, MINUTE), MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_in_a_row_wait_for_longer_windows() {
        let mut hold = Hold::new(vec![MINUTE, SECOND]);
        let epoch = Duration::from_millis(61_250);
        let start = Instant::now();
        let first = hold.wait(start, None, epoch, 0.0);
        assert_eq!(first, Duration::from_millis(750));
        hold.set(start, start + SECOND, first);
        assert_eq!(hold.until(start), Some(start + SECOND + first));

        // Sent before the first refusal came back: the same event, not a second one.
        assert_eq!(hold.wait(start, None, epoch, 0.0), Duration::from_millis(750));
        hold.set(start, start + SECOND, first);

        let again = start + 2 * SECOND;
        let second = hold.wait(again, None, epoch, 0.0);
        assert_eq!(second, Duration::from_millis(58_750));
        hold.set(again, again, second);
        assert_eq!(hold.wait(again + MINUTE, None, epoch, 0.0), MINUTE);

        hold.answered(start);
        assert_eq!(hold.wait(again + MINUTE, None, epoch, 0.0), MINUTE, "an old answer ends no streak");
        hold.answered(again + SECOND);
        assert_eq!(hold.wait(again + MINUTE, None, epoch, 0.0), Duration::from_millis(750));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_wins_and_a_longer_hold_is_never_shortened() {
        let mut hold = Hold::new(vec![SECOND]);
        let now = Instant::now();
        let asked = hold.wait(now, Some(MINUTE), Duration::ZERO, 0.0);
        assert_eq!(asked, MINUTE);
        hold.set(now, now, asked);
        hold.set(now, now, SECOND);
        assert_eq!(hold.until(now), Some(now + MINUTE));
        assert_eq!(hold.until(now + MINUTE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_windows_the_wait_grows_from_one_second() {
        let mut hold = Hold::new(Vec::new());
        let mut now = Instant::now();
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            assert_eq!(hold.wait(now, None, Duration::ZERO, 0.0), BLIND_FLOOR);
            let upper = hold.wait(now, None, Duration::ZERO, 0.999);
            assert!(upper >= longest.mul_f64(0.99) && upper <= BLIND_CEILING);
            longest = upper;
            hold.set(now, now, upper);
            now += upper;
        }
        assert!(longest > BLIND_CEILING / 2);
    }
}
