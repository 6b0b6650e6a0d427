//! When a record or a download is tried again: exponential back-off with full jitter, up to a limit. Pure.

/// First delay's bound in milliseconds.
const BASE: u64 = 200;

/// Longest delay's bound.
const CEILING: u64 = 30_000;

/// Milliseconds until the next attempt after `attempts`; `base` bounds the first, `random` is 0..=`u32::MAX`.
fn delay(base: u64, attempts: u32, random: u32) -> i64 {
    let bound = base.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(CEILING);
    let delay = (bound * u64::from(random)) >> 32;
    // Never at once: whatever was in the way needs a moment.
    i64::try_from(delay.max(10)).unwrap_or(i64::MAX)
}

/// The same with a random number of the system.
pub fn jittered(attempts: u32) -> i64 {
    jittered_from(BASE, attempts)
}

/// The same with another bound of the first delay, in milliseconds.
pub fn jittered_from(base: u64, attempts: u32) -> i64 {
    let mut bytes = [0_u8; 4];
    // Without random numbers the delay is its bound's half: late, but right.
    let random = if getrandom::fill(&mut bytes).is_ok() { u32::from_ne_bytes(bytes) } else { u32::MAX / 2 };
    delay(base, attempts, random)
}

#[cfg(test)]
mod tests {
    use super::{BASE, CEILING, delay};

    #[test]
    fn delays_grow_and_are_bounded() {
        assert_eq!(delay(BASE, 1, u32::MAX), 199);
        assert_eq!(delay(BASE, 3, u32::MAX), 799);
        assert_eq!(delay(BASE, 1, 0), 10);
        for attempts in 0..100 {
            assert!(delay(BASE, attempts, u32::MAX) <= i64::try_from(CEILING).unwrap());
        }
    }
}
