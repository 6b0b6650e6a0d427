//! Slows down whoever guesses the token: an address that has failed often has to wait, even with the right one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Failures that cost nothing; people mistype.
const FREE: u32 = 5;

/// Milliseconds in which one failure is forgotten.
const FORGET: i64 = 30_000;

/// Addresses that are remembered; when there are more, the ones that have failed least go first.
const MOST: usize = 1024;

/// Failed logins by address.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// When the count was right; since then it fades.
    at: i64,
}

impl Failures {
    /// How many are still remembered.
    fn now(self, now: i64) -> Self {
        let passed = now.saturating_sub(self.at).max(0) / FORGET;
        let forgotten = u32::try_from(passed).unwrap_or(u32::MAX);
        Self { count: self.count.saturating_sub(forgotten), at: self.at.saturating_add(passed.saturating_mul(FORGET)) }
    }
}

impl Throttle {
    /// How many seconds this address has to wait before it may try (again).
    pub(super) fn wait(&self, peer: IpAddr, now: i64) -> Option<u32> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = table.get(&group(peer))?.now(now);
        let over = failures.count.checked_sub(FREE)?;
        let next = FORGET - now.saturating_sub(failures.at).clamp(0, FORGET);
        Some(u32::try_from((i64::from(over) * FORGET + next + 999) / 1000).unwrap_or(u32::MAX).max(1))
    }

    /// Remembers a failure.
    pub(super) fn failed(&self, peer: IpAddr, now: i64) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = group(peer);
        if table.len() >= MOST && !table.contains_key(&peer) {
            table.retain(|_, failures| failures.now(now).count > 0);
            if table.len() >= MOST
                && let Some(least) = table.iter().min_by_key(|(_, failures)| failures.now(now).count).map(|(at, _)| *at)
            {
                table.remove(&least);
            }
        }
        let failures = table.entry(peer).or_insert(Failures { count: 0, at: now });
        *failures = failures.now(now);
        // Never more than a few minutes: whoever shares the address with the guesser wants to get in, too.
        failures.count = (failures.count + 1).min(2 * FREE);
    }
}

/// One household has a whole network of version 6.
fn group(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::{FORGET, FREE, MOST, Throttle};
    use std::net::{IpAddr, Ipv4Addr};

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn who_fails_often_waits_and_is_forgiven() {
        let (throttle, peer) = (Throttle::default(), "192.0.2.1".parse().unwrap());
        for _ in 0..FREE {
            assert_eq!(throttle.wait(peer, NOW), None);
            throttle.failed(peer, NOW);
        }
        assert_eq!(throttle.wait(peer, NOW), Some(30));
        assert_eq!(throttle.wait(peer, NOW + 29_500), Some(1));
        assert_eq!(throttle.wait("192.0.2.2".parse().unwrap(), NOW), None, "only that one");
        assert_eq!(throttle.wait(peer, NOW + FORGET), None);
        for _ in 0..1000 {
            throttle.failed(peer, NOW);
        }
        assert!(throttle.wait(peer, NOW).unwrap() <= 180, "not for ever");
        assert_eq!(throttle.wait(peer, NOW + 60 * FORGET), None);
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let throttle = Throttle::default();
        for last in 0..FREE {
            throttle.failed(format!("2001:db8::{last:x}").parse().unwrap(), NOW);
        }
        assert!(throttle.wait("2001:db8::ffff".parse().unwrap(), NOW).is_some());
        assert!(throttle.wait("2001:db8:0:1::1".parse().unwrap(), NOW).is_none());
    }

    #[test]
    fn the_table_does_not_grow_for_ever() {
        let (throttle, guesser) = (Throttle::default(), "198.51.100.1".parse().unwrap());
        for _ in 0..FREE {
            throttle.failed(guesser, NOW);
        }
        for number in 0..10_000_u32 {
            throttle.failed(IpAddr::V4(Ipv4Addr::from(number)), NOW);
        }
        assert!(throttle.0.lock().unwrap().len() <= MOST);
        assert!(throttle.wait(guesser, NOW).is_some(), "the worst is remembered");
    }
}
