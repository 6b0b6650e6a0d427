//! The outermost layer: may this request be tried again, and after how long? Plugs into `tower::retry`.

use std::future::Ready;
use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use tokio::time::{Sleep, sleep};
use tower::retry::Policy;

use super::call::{Call, Failure};
use super::jitter::Jitter;
use super::policy::Retry;
use super::{HttpError, Response};
use crate::observe::events;

/// One request's retries.
#[derive(Clone)]
pub(super) struct Retries {
    service: &'static str,
    policy: Retry,
    jitter: Arc<Jitter>,
    /// Attempts that failed.
    failed: u32,
    /// 429s.
    throttled: u32,
    /// Time on the wire and in back-off.
    elapsed: Duration,
    /// Time that 429s cost.
    throttle_waits: Duration,
}

impl Retries {
    pub(super) fn new(service: &'static str, policy: Retry, jitter: Arc<Jitter>) -> Self {
        Self {
            service,
            policy,
            jitter,
            failed: 0,
            throttled: 0,
            elapsed: Duration::ZERO,
            throttle_waits: Duration::ZERO,
        }
    }

    /// The wait before the next attempt, or why there is none.
    fn next(&mut self, call: &Call, failure: &Failure) -> Result<Duration, Option<HttpError>> {
        let endpoint = call.ready.endpoint;
        let progress = call.ready.progress();
        match failure {
            Failure::Throttled { asked, wait } => {
                self.throttled += 1;
                let waits = self.throttle_waits.saturating_add(*wait);
                if self.throttled >= self.policy.max_throttled || waits > self.policy.max_elapsed {
                    return Err(Some(HttpError::Throttled {
                        service: self.service,
                        endpoint,
                        waited: self.throttle_waits,
                        asked: *asked,
                    }));
                }
                self.throttle_waits = waits;
                events::throttled(self.service, endpoint, *wait);
                // The limiter holds everybody back, this request as well.
                Ok(Duration::ZERO)
            }
            Failure::Retry(reason) | Failure::Outage(reason) => {
                let random = self.jitter.next();
                let delay = delay(&self.policy, self.failed, random);
                self.failed += 1;
                self.elapsed = self.elapsed.saturating_add(progress.last_wire);
                let too_late = self.elapsed.saturating_add(delay) > self.policy.max_elapsed;
                if self.failed >= self.policy.max_attempts || too_late {
                    return Err(Some(HttpError::Exhausted {
                        service: self.service,
                        endpoint,
                        attempts: self.failed,
                        last: reason.clone(),
                    }));
                }
                self.elapsed = self.elapsed.saturating_add(delay);
                events::retry_scheduled(self.service, endpoint, self.failed + 1, delay, reason);
                Ok(delay)
            }
            Failure::Hop(_) | Failure::Final(_) | Failure::Recalled | Failure::Unsent(_) => Err(None),
        }
    }
}

impl Policy<Call, Response, Failure> for Retries {
    type Future = Either<Ready<()>, Sleep>;

    fn retry(&mut self, call: &mut Call, result: &mut Result<Response, Failure>) -> Option<Self::Future> {
        let failure = result.as_ref().err()?;
        match self.next(call, failure) {
            Ok(Duration::ZERO) => Some(Either::Left(std::future::ready(()))),
            Ok(delay) => Some(Either::Right(sleep(delay))),
            Err(Some(error)) => {
                *result = Err(Failure::Final(error));
                None
            }
            Err(None) => None,
        }
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}

/// Exponential back-off with full jitter: between the floor and `base · 2^earlier`, at most the ceiling.
/// `random` is in [0, 1).
fn delay(policy: &Retry, earlier: u32, random: f64) -> Duration {
    let doubled = 2u32.checked_pow(earlier).and_then(|factor| policy.base.checked_mul(factor));
    let upper = doubled.unwrap_or(policy.ceiling).min(policy.ceiling);
    policy.floor + upper.saturating_sub(policy.floor).mul_f64(random)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(base: u64, floor: u64, ceiling: u64) -> Retry {
        Retry {
            max_attempts: 5,
            max_throttled: 5,
            base: Duration::from_millis(base),
            floor: Duration::from_millis(floor),
            ceiling: Duration::from_millis(ceiling),
            max_elapsed: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_upper_bound_doubles() {
        let policy = policy(100, 0, 1000);
        let upper = |earlier| delay(&policy, earlier, 1.0).as_millis();
        assert_eq!([upper(0), upper(1), upper(2), upper(3), upper(4), upper(400)], [100, 200, 400, 800, 1000, 1000]);
    }

    proptest! {
        #[test]
        fn delays_stay_between_floor_and_ceiling(
            base in 0u64..10_000, floor in 0u64..2_000, ceiling in 0u64..100_000, earlier: u32, random in 0.0f64..1.0,
        ) {
            let policy = policy(base, floor, ceiling);
            let delay = delay(&policy, earlier, random);
            prop_assert!(delay >= policy.floor);
            prop_assert!(delay <= policy.ceiling.max(policy.floor));
        }

        #[test]
        fn more_randomness_means_a_longer_delay(earlier in 0u32..40, low in 0.0f64..1.0, high in 0.0f64..1.0) {
            let policy = policy(100, 50, 60_000);
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(delay(&policy, earlier, low) <= delay(&policy, earlier, high));
        }
    }
}
