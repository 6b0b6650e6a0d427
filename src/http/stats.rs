//! What a service cost so far.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Attempts sent, retries included.
    pub requests: u64,
    /// Of them, retries.
    pub retries: u64,
    /// Of them, those that brought no usable answer: no connection, a timeout, an error of the service.
    pub failed: u64,
    /// 429 answers.
    pub throttled: u64,
    /// Times the breaker opened.
    pub breaker_opened: u64,
    /// Time spent waiting for tokens, `Retry-After` and the breaker, summed over requests.
    pub waited: Duration,
    /// Time spent on the wire, summed over attempts.
    pub on_wire: Duration,
}

/// [`Stats`] that all requests of a service write to.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Stats>);

impl Counters {
    pub(super) fn update(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes a wait of one request.
    pub(super) fn waited(&self, wait: Duration) {
        self.update(|stats| stats.waited += wait);
    }

    pub(super) fn snapshot(&self) -> Stats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
