//! Trying again: how long to wait, and what a failure of the store means for a message.

use std::time::Duration;

use crate::store::{StoreError, StoreErrorKind};

/// Longest wait between two tries of anything.
const LONGEST: Duration = Duration::from_secs(10);

/// What a failure of the store means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The store as a whole is away: everything waits, nothing counts as a try.
    Away,
    /// This change collided with another.
    Again,
    /// This change will never be taken.
    Never,
}

pub(super) fn verdict(error: &StoreError) -> Verdict {
    match error.kind {
        StoreErrorKind::Conflict(_) => Verdict::Again,
        // Something unreadable in one place, or a fault of ours that one change brings out: waiting mends nothing, and
        // what is elsewhere need not wait for it.
        StoreErrorKind::Refused(_) | StoreErrorKind::Corrupt(_) | StoreErrorKind::Broke => Verdict::Never,
        _ => Verdict::Away,
    }
}

/// A random wait after so many tries: exponential, with full jitter.
pub(super) fn wait(base: Duration, tries: u32) -> Duration {
    let bound = base.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST);
    let mut bytes = [0_u8; 4];
    // Without random numbers it is the half.
    let random = if getrandom::fill(&mut bytes).is_ok() { u32::from_ne_bytes(bytes) } else { u32::MAX / 2 };
    bound.mul_f64(f64::from(random) / f64::from(u32::MAX)).max(Duration::from_millis(10))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, Verdict, verdict, wait};
    use crate::error::Party;
    use crate::store::{StoreError, StoreErrorKind};

    #[test]
    fn a_fault_of_ours_is_not_waited_for() {
        let of = |kind| verdict(&StoreError::new(std::path::Path::new("a"), Party::Backend, kind));
        assert_eq!((of(StoreErrorKind::Broke), of(StoreErrorKind::Closed)), (Verdict::Never, Verdict::Away));
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        let base = Duration::from_secs(1);
        for tries in 1..100 {
            assert!(wait(base, tries) <= LONGEST.min(base * (1 << (tries - 1).min(10))));
            assert!(wait(base, tries) >= Duration::from_millis(10));
        }
    }
}
