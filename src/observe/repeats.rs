//! The same again and again: said once in a while, with the number of times that it was left out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the same is not said again.
const QUIET: Duration = Duration::from_secs(30);

/// Different things that are told apart; beyond them everything is said.
const MOST: usize = 64;

/// Remembers what was said when.
pub(super) struct Repeats(Mutex<BTreeMap<String, (Instant, u64)>>);

impl Repeats {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Shall it be said at this time? How often it was left out since it was said last; `None` = leave it out.
    pub(super) fn again(&self, what: &str, now: Instant) -> Option<u64> {
        // A panic elsewhere leaves nothing half done in here.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match said.get_mut(what) {
            Some((at, left_out)) if now.saturating_duration_since(*at) < QUIET => {
                *left_out += 1;
                None
            }
            Some((at, left_out)) => {
                *at = now;
                Some(std::mem::take(left_out))
            }
            None => {
                if said.len() < MOST {
                    said.insert(what.to_owned(), (now, 0));
                }
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{MOST, QUIET, Repeats};

    #[test]
    fn the_same_is_said_once_in_a_while_and_counted_meanwhile() {
        let (repeats, start) = (Repeats::new(), Instant::now());
        assert_eq!(repeats.again("down", start), Some(0));
        assert_eq!(repeats.again("down", start + Duration::from_secs(1)), None);
        assert_eq!(repeats.again("down", start + Duration::from_secs(29)), None);
        assert_eq!(repeats.again("slow", start + Duration::from_secs(29)), Some(0), "another thing");
        assert_eq!(repeats.again("down", start + QUIET), Some(2));
        assert_eq!(repeats.again("down", start + QUIET + Duration::from_secs(1)), None);
    }

    #[test]
    fn it_remembers_no_more_than_so_many() {
        let (repeats, now) = (Repeats::new(), Instant::now());
        for number in 0..MOST {
            assert_eq!(repeats.again(&number.to_string(), now), Some(0));
        }
        assert_eq!((repeats.again("one more", now), repeats.again("one more", now)), (Some(0), Some(0)));
        assert_eq!(repeats.again("7", now), None);
    }
}
