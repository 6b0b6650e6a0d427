//! Does any broker answer?

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::statistics::Statistics;

/// Looks at the statistics without a broker that is up, before none is.
const LOOKS: u32 = 6;

/// Brokers that restart are not worth a word for so long.
const LEAST: Duration = Duration::from_secs(2);

/// Whether a member reaches its brokers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reach(Arc<State>);

#[derive(Debug)]
struct State {
    /// How long one answer counts; none = for ever, because nothing is told in between.
    counts: Option<Duration>,
    answered: Mutex<Option<Instant>>,
}

impl Reach {
    /// `often`: how often there are statistics; none = never.
    pub(super) fn new(often: Option<Duration>) -> Self {
        let counts = often.map(|often| (often * LOOKS).max(LEAST));
        Self(Arc::new(State { counts, answered: Mutex::new(None) }))
    }

    /// A broker has answered, and not too long ago.
    pub fn is_up(&self) -> bool {
        let answered = *self.0.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|at| self.0.counts.is_none_or(|counts| at.elapsed() < counts))
    }

    /// A broker answers.
    pub(super) fn answered(&self) {
        *self.0.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn look(&self, statistics: &Statistics) {
        // A connection is up once both sides have agreed on how to speak, and on who we are.
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.answered();
        }
    }
}
