//! The circuit breaker's state machine: closed → open → half-open → closed. No clock, no I/O, no waiting.

use std::time::Duration;

use tokio::time::Instant;

use super::policy::Breaker;

/// Names the period between two changes of state in which a request was let through. What it reports later counts
/// only while that period lasts.
pub(super) type Ticket = u64;

/// May a request go?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes, as one of many.
    Pass(Ticket),
    /// Yes, alone, to see whether the service is back.
    Probe(Ticket),
    /// Ask again then, or at the next change.
    Wait(Instant),
    /// No: it has been down for too long.
    Down(Duration, String),
}

/// Something a log should mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Now open, because of this.
    Opened(String),
    /// Now closed.
    Closed,
}

#[derive(Debug)]
enum State {
    Closed { outages: u32 },
    Open { outage: Outage, until: Instant },
    HalfOpen { outage: Outage },
}

/// One outage, from the first opening to the next close.
#[derive(Debug, Clone)]
struct Outage {
    since: Instant,
    cooldown: Duration,
    last: String,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Circuit {
    policy: Breaker,
    state: State,
    ticket: Ticket,
}

impl Circuit {
    pub(super) fn new(policy: Breaker) -> Self {
        Self { policy, state: State::Closed { outages: 0 }, ticket: 0 }
    }

    /// May a request go at `now`? Turns an open breaker whose cool-down is over into a half-open one.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match &self.state {
            State::Closed { .. } => Admission::Pass(self.ticket),
            State::Open { outage, until } if now >= *until => {
                let outage = outage.clone();
                self.change(State::HalfOpen { outage });
                Admission::Probe(self.ticket)
            }
            State::Open { outage, until } => match self.overdue(outage, now) {
                Some(down) => down,
                None => Admission::Wait(*until),
            },
            // The probe's end is a change; this is only how long its followers wait for it.
            State::HalfOpen { outage } => match self.overdue(outage, now) {
                Some(down) => down,
                None => Admission::Wait(outage.since + self.policy.give_up_after),
            },
        }
    }

    /// Is a request with this ticket still welcome, or has the state changed since?
    pub(super) fn is_current(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
    }

    /// Is it closed?
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// The service answered, with whatever.
    pub(super) fn answered(&mut self, ticket: Ticket) -> Option<Change> {
        if !self.is_current(ticket) {
            return None;
        }
        match &mut self.state {
            State::Closed { outages } => {
                *outages = 0;
                None
            }
            State::HalfOpen { .. } => {
                self.change(State::Closed { outages: 0 });
                Some(Change::Closed)
            }
            State::Open { .. } => None,
        }
    }

    /// The service was not there.
    pub(super) fn failed(&mut self, ticket: Ticket, now: Instant, reason: &str) -> Option<Change> {
        if !self.is_current(ticket) {
            return None;
        }
        let mut outage = match &mut self.state {
            State::Closed { outages } => {
                *outages += 1;
                if *outages < self.policy.threshold {
                    return None;
                }
                Outage { since: now, cooldown: self.policy.cooldown, last: String::new() }
            }
            State::HalfOpen { outage } => {
                let cooldown = outage.cooldown.saturating_mul(2).min(self.policy.max_cooldown).max(outage.cooldown);
                Outage { cooldown, ..outage.clone() }
            }
            State::Open { .. } => return None,
        };
        reason.clone_into(&mut outage.last);
        // The last probe comes when patience ends, not a cool-down later.
        let end = outage.since + self.policy.give_up_after;
        let until = now + outage.cooldown;
        let until = if now < end { until.min(end) } else { until };
        self.change(State::Open { outage, until });
        Some(Change::Opened(reason.to_owned()))
    }

    /// The probe was dropped before it knew anything: the next request may probe at once.
    pub(super) fn abandoned(&mut self, ticket: Ticket, now: Instant) {
        if self.is_current(ticket)
            && let State::HalfOpen { outage } = &self.state
        {
            let outage = outage.clone();
            self.change(State::Open { outage, until: now });
        }
    }

    fn overdue(&self, outage: &Outage, now: Instant) -> Option<Admission> {
        let down_for = now.duration_since(outage.since);
        (down_for >= self.policy.give_up_after).then(|| Admission::Down(down_for, outage.last.clone()))
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.ticket += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> Breaker {
        Breaker { threshold: 3, cooldown: 10 * SECOND, max_cooldown: 30 * SECOND, give_up_after: 100 * SECOND }
    }

    fn pass(circuit: &mut Circuit, now: Instant) -> Ticket {
        match circuit.admit(now) {
            Admission::Pass(ticket) => ticket,
            other => panic!("not closed: {other:?}"),
        }
    }

    fn probe(circuit: &mut Circuit, now: Instant) -> Ticket {
        match circuit.admit(now) {
            Admission::Probe(ticket) => ticket,
            other => panic!("no probe: {other:?}"),
        }
    }

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::new(policy());
        for _ in 0..3 {
            let ticket = pass(&mut circuit, now);
            circuit.failed(ticket, now, "refused");
        }
        assert!(!circuit.is_closed());
        circuit
    }

    #[test]
    fn only_outages_in_a_row_open_it() {
        let now = Instant::now();
        let mut circuit = Circuit::new(policy());
        for _ in 0..10 {
            for _ in 0..2 {
                let ticket = pass(&mut circuit, now);
                assert_eq!(circuit.failed(ticket, now, "x"), None);
            }
            let ticket = pass(&mut circuit, now);
            assert_eq!(circuit.answered(ticket), None);
        }
        assert!(circuit.is_closed());
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_closes() {
        let start = Instant::now();
        let mut circuit = opened(start);
        assert_eq!(circuit.admit(start), Admission::Wait(start + 10 * SECOND));
        let ticket = probe(&mut circuit, start + 10 * SECOND);
        assert!(matches!(circuit.admit(start + 10 * SECOND), Admission::Wait(_)));
        assert_eq!(circuit.answered(ticket), Some(Change::Closed));
        assert!(circuit.is_closed());
    }

    #[test]
    fn a_failed_probe_doubles_the_cooldown_up_to_its_cap() {
        let start = Instant::now();
        let mut circuit = opened(start);
        let mut now = start;
        for wait in [10, 20, 30, 30] {
            assert!(matches!(circuit.admit(now), Admission::Wait(_)));
            now += wait * SECOND;
            let ticket = probe(&mut circuit, now);
            assert_eq!(circuit.failed(ticket, now, "still"), Some(Change::Opened("still".to_owned())));
        }
        // 90 s gone: the last probe is at 100 s, then it is down; one more probe a cool-down later.
        let ticket = probe(&mut circuit, start + 100 * SECOND);
        circuit.failed(ticket, start + 100 * SECOND, "dead");
        assert_eq!(circuit.admit(start + 100 * SECOND), Admission::Down(100 * SECOND, "dead".to_owned()));
        let ticket = probe(&mut circuit, start + 130 * SECOND);
        assert_eq!(circuit.admit(start + 130 * SECOND), Admission::Down(130 * SECOND, "dead".to_owned()));
        circuit.answered(ticket);
        assert!(circuit.is_closed());
    }

    #[test]
    fn late_news_of_requests_sent_before_a_change_is_ignored() {
        let now = Instant::now();
        let mut circuit = Circuit::new(policy());
        let old = pass(&mut circuit, now);
        for _ in 0..3 {
            let ticket = pass(&mut circuit, now);
            circuit.failed(ticket, now, "x");
        }
        assert_eq!(circuit.answered(old), None);
        assert!(!circuit.is_closed() && !circuit.is_current(old));
        let ticket = probe(&mut circuit, now + 10 * SECOND);
        assert_eq!(circuit.failed(old, now + 10 * SECOND, "late"), None);
        assert!(circuit.is_current(ticket));
    }

    #[test]
    fn an_abandoned_probe_leaves_room_for_the_next() {
        let start = Instant::now();
        let mut circuit = opened(start);
        let now = start + 10 * SECOND;
        let ticket = probe(&mut circuit, now);
        circuit.abandoned(ticket, now);
        let next = probe(&mut circuit, now);
        assert_ne!(ticket, next);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Admit(u64),
        Report(usize, u8),
    }

    proptest! {
        /// Whatever happens in whatever order: never two probes at once, nothing passes while it is not closed, and
        /// it can always recover.
        #[test]
        fn any_history_is_sound(steps in proptest::collection::vec(
            prop_oneof![
                (0u64..40).prop_map(Step::Admit),
                (any::<usize>(), 0u8..3).prop_map(|(who, what)| Step::Report(who, what)),
            ], 0..200,
        )) {
            let mut now = Instant::now();
            let mut circuit = Circuit::new(policy());
            let mut flying: Vec<(Ticket, bool)> = Vec::new();
            for step in steps {
                match step {
                    Step::Admit(seconds) => {
                        now += Duration::from_secs(seconds);
                        let closed = circuit.is_closed();
                        match circuit.admit(now) {
                            Admission::Pass(ticket) => {
                                prop_assert!(closed);
                                flying.push((ticket, false));
                            }
                            Admission::Probe(ticket) => {
                                prop_assert!(!closed);
                                prop_assert!(!flying.iter().any(|(_, probing)| *probing), "two probes");
                                flying.push((ticket, true));
                            }
                            Admission::Wait(until) => prop_assert!(until > now && !closed),
                            Admission::Down(down_for, _) => prop_assert!(down_for >= policy().give_up_after && !closed),
                        }
                    }
                    Step::Report(who, what) if !flying.is_empty() => {
                        let (ticket, probing) = flying.swap_remove(who % flying.len());
                        match what {
                            0 => drop(circuit.answered(ticket)),
                            1 => drop(circuit.failed(ticket, now, "x")),
                            _ if probing => circuit.abandoned(ticket, now),
                            _ => {}
                        }
                    }
                    Step::Report(..) => {}
                }
            }
            for (ticket, _) in flying {
                circuit.abandoned(ticket, now);
            }
            now += Duration::from_secs(1000);
            if let Admission::Probe(ticket) = circuit.admit(now) {
                circuit.answered(ticket);
            }
            prop_assert!(circuit.is_closed());
        }
    }
}
