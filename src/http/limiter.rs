//! When may a request go out: governor buckets that all must agree, and the "not before" instant that a 429 sets.
//!
//! Waiters queue at a turnstile (a fair mutex), so nobody starves. The head of the queue takes a token of every
//! window in the same instant or of none: a token taken early and used late would let two requests through at once.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep_until};

use super::hold::Hold;
use super::{HttpError, Window};

/// No bucket takes longer to fill: ten years, which 64-bit nanoseconds hold many times over.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// A rate limit: every window must admit. A service owns one; several services may share a second, global one.
pub struct Limiter {
    origin: Instant,
    turn: tokio::sync::Mutex<()>,
    meters: Vec<Meter>,
    hold: Mutex<Hold>,
}

/// The wait that a service asks for is longer than its caller is ready to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) Duration);

impl Limiter {
    /// A limiter over `windows` (none = unlimited); `name` is for the error of an impossible rate.
    pub fn new(name: &'static str, windows: &[Window]) -> Result<Self, HttpError> {
        let origin = Instant::now();
        let meters = windows.iter().map(|window| Meter::new(name, window, origin)).collect::<Result<_, _>>()?;
        let counted = windows.iter().filter_map(|window| match window {
            Window::Counted { per, .. } => Some(*per),
            Window::Bucket { .. } => None,
        });
        Ok(Self { origin, turn: tokio::sync::Mutex::new(()), meters, hold: Mutex::new(Hold::new(counted.collect())) })
    }

    /// Waits until this limiter, and `global` if there is one, admits one request now. Gives up at once when a
    /// 429 asked for a wait longer than `patience`. Dropping the future takes no token.
    pub(super) async fn acquire(&self, global: Option<&Self>, patience: Duration) -> Result<(), TooLong> {
        let global = global.filter(|limiter| !limiter.meters.is_empty());
        if self.meters.is_empty() && global.is_none() {
            return self.wait_hold(patience).await;
        }
        let _turn = self.turn.lock().await;
        loop {
            self.wait_hold(patience).await?;
            if let Err(at) = self.peek() {
                sleep_until(at).await;
                continue;
            }
            let Some(global) = global else {
                self.take();
                return Ok(());
            };
            // Our own windows are open and stay open: only the holder of `turn` takes from them.
            let _global_turn = global.turn.lock().await;
            while let Err(at) = global.peek() {
                sleep_until(at).await;
            }
            if self.hold().until(Instant::now()).is_some() {
                continue;
            }
            self.take();
            global.take();
            return Ok(());
        }
    }

    /// The first instant at which all windows are open, if that is not now.
    fn peek(&self) -> Result<(), Instant> {
        match self.meters.iter().filter_map(Meter::opens_after).max() {
            Some(at) => Err(self.origin + at),
            None => Ok(()),
        }
    }

    fn take(&self) {
        for meter in &self.meters {
            meter.take();
        }
    }

    async fn wait_hold(&self, patience: Duration) -> Result<(), TooLong> {
        loop {
            let now = Instant::now();
            let Some(until) = self.hold().until(now) else { return Ok(()) };
            let wait = until.duration_since(now);
            if wait > patience {
                return Err(TooLong(wait));
            }
            sleep_until(until).await;
        }
    }

    /// What the 429s of this service ask for.
    pub(super) fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("windows", &self.meters.len()).finish_non_exhaustive()
    }
}

/// governor's clock on tokio's time, so that tests may pause it.
#[derive(Debug, Clone)]
struct TokioClock {
    origin: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// governor's state, shared with its [`Meter`] so that a trial can be undone. 0 = no request yet.
#[derive(Debug, Default, Clone)]
struct Cell(Arc<AtomicU64>);

impl StateStore for Cell {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // No compare-and-swap: the turnstile admits one caller at a time.
        let arrival = self.0.load(Ordering::Acquire);
        let (outcome, next) = decide((arrival != 0).then(|| Nanos::new(arrival)))?;
        self.0.store(next.as_u64(), Ordering::Release);
        Ok(outcome)
    }
}

/// One window.
struct Meter {
    cell: Cell,
    limiter: RateLimiter<NotKeyed, Cell, TokioClock, NoOpMiddleware<Duration>>,
}

impl Meter {
    fn new(name: &'static str, window: &Window, origin: Instant) -> Result<Self, HttpError> {
        let quota = shape(window)
            .and_then(|(period, burst)| Some(Quota::with_period(period)?.allow_burst(burst)))
            .ok_or_else(|| HttpError::Invalid { service: name, reason: format!("impossible rate limit {window:?}") })?;
        let cell = Cell::default();
        let limiter = RateLimiter::new(quota, cell.clone(), TokioClock { origin });
        Ok(Self { cell, limiter })
    }

    /// When it opens, counted from the limiter's origin; `None` if it is open now. Takes nothing.
    fn opens_after(&self) -> Option<Duration> {
        let before = self.cell.0.load(Ordering::Acquire);
        match self.limiter.check() {
            Ok(()) => {
                self.cell.0.store(before, Ordering::Release);
                None
            }
            Err(not_until) => Some(not_until.earliest_possible()),
        }
    }

    /// Takes a token. Only called right after every window has said that it is open.
    fn take(&self) {
        let admitted = self.limiter.check().is_ok();
        debug_assert!(admitted, "a window closed between peek and take");
    }
}

/// Spacing and burst of a window; `None` if no such spacing exists.
fn shape(window: &Window) -> Option<(Duration, NonZeroU32)> {
    let (period, burst) = match *window {
        Window::Bucket { per_second, burst } => (Duration::try_from_secs_f64(per_second.recip()).ok()?, burst),
        Window::Counted { limit, per } if limit.get() == 1 => (per.checked_mul(21)? / 20, limit),
        Window::Counted { limit, per } => (per / (limit.get() - 1), NonZeroU32::MIN),
    };
    // Never faster than asked for: what the division cut off comes back as one nanosecond.
    let period = period.checked_add(Duration::from_nanos(1))?;
    // governor multiplies both in 64-bit nanoseconds, unchecked.
    let whole = period.checked_mul(burst.get())?;
    (whole <= LONGEST).then_some((period, burst))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_hours(1);

    fn bucket(per_second: f64, burst: u32) -> Window {
        Window::Bucket { per_second, burst: NonZeroU32::new(burst).unwrap() }
    }

    fn counted(limit: u32, per: Duration) -> Window {
        Window::Counted { limit: NonZeroU32::new(limit).unwrap(), per }
    }

    fn windows() -> impl Strategy<Value = Vec<Window>> {
        let one = prop_oneof![
            (0.2f64..50.0, 1u32..8).prop_map(|(rate, burst)| bucket(rate, burst)),
            (1u32..20, 50u64..5000).prop_map(|(limit, per)| counted(limit, Duration::from_millis(per))),
        ];
        proptest::collection::vec(one, 1..4)
    }

    /// Runs the arrivals (delay, give up after) of `services` limiters with a shared one; returns when each got in.
    fn admissions(
        services: &[Vec<Window>],
        global: &[Window],
        arrivals: &[(u64, Option<u64>, usize)],
    ) -> Vec<(usize, Duration)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let limiters: Vec<_> = services.iter().map(|w| Arc::new(Limiter::new("x", w).unwrap())).collect();
            let global = Arc::new(Limiter::new("global", global).unwrap());
            let log = Arc::new(Mutex::new(Vec::new()));
            let mut tasks = tokio::task::JoinSet::new();
            for &(delay, give_up, service) in arrivals {
                let service = service % limiters.len();
                let (own, global, log) = (limiters[service].clone(), global.clone(), log.clone());
                tasks.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    let admitted = async {
                        own.acquire(Some(&global), PATIENCE).await.unwrap();
                        log.lock().unwrap().push((service, start.elapsed()));
                    };
                    let give_up = Duration::from_millis(give_up.unwrap_or(100_000_000));
                    drop(tokio::time::timeout(give_up, admitted).await);
                });
            }
            while tasks.join_next().await.is_some() {}
            drop(tasks);
            let log = log.lock().unwrap();
            log.clone()
        })
    }

    fn check(window: &Window, times: &[Duration]) {
        match *window {
            Window::Bucket { per_second, burst } => {
                for (i, from) in times.iter().enumerate() {
                    for (j, to) in times.iter().enumerate().skip(i) {
                        let span = to.saturating_sub(*from);
                        let most = f64::from(burst.get()) + per_second * span.as_secs_f64();
                        let admitted = f64::from(u32::try_from(j - i + 1).unwrap());
                        assert!(admitted <= most + 1e-6, "{admitted} in {span:?}, {window:?}");
                    }
                }
            }
            Window::Counted { limit, per } => {
                let limit = limit.get() as usize;
                for (from, to) in times.iter().zip(times.iter().skip(limit)) {
                    let span = to.saturating_sub(*from);
                    assert!(span > per, "{} within {span:?}, {window:?}", limit + 1);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn no_window_ever_admits_more_than_it_allows(
            services in proptest::collection::vec(windows(), 1..3),
            global in prop_oneof![Just(vec![]), windows()],
            arrivals in proptest::collection::vec((0u64..4000, proptest::option::weighted(0.2, 0u64..2000), 0usize..4), 1..60),
        ) {
            let log = admissions(&services, &global, &arrivals);
            let patient = arrivals.iter().filter(|(_, give_up, _)| give_up.is_none()).count();
            prop_assert!(log.len() >= patient, "somebody never got in");
            for (index, windows) in services.iter().enumerate() {
                let times: Vec<_> = log.iter().filter(|(s, _)| *s == index).map(|(_, at)| *at).collect();
                for window in windows {
                    check(window, &times);
                }
            }
            let times: Vec<_> = log.iter().map(|(_, at)| *at).collect();
            for window in &global {
                check(window, &times);
            }
        }
    }

    #[test]
    fn the_full_rate_is_used() {
        let arrivals = vec![(0, None, 0); 100];
        let log = admissions(&[vec![bucket(10.0, 5)]], &[], &arrivals);
        let last = log.last().unwrap().1;
        assert!(last >= Duration::from_millis(9_500) && last < Duration::from_millis(9_700), "{last:?}");
    }

    #[test]
    fn waiters_get_in_in_the_order_they_came() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let order = runtime.block_on(async {
            let limiter = Limiter::new("x", &[bucket(2.0, 1)]).unwrap();
            let order = Mutex::new(Vec::new());
            let waiters = (0..20).map(|n| {
                let (limiter, order) = (&limiter, &order);
                async move {
                    limiter.acquire(None, PATIENCE).await.unwrap();
                    order.lock().unwrap().push(n);
                }
            });
            futures::future::join_all(waiters).await;
            order.into_inner().unwrap()
        });
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn rates_that_are_no_rates_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE, 1e-9] {
            assert!(matches!(Limiter::new("x", &[bucket(rate, 1)]), Err(HttpError::Invalid { .. })), "{rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_stops_everybody_and_too_long_a_hold_is_an_error() {
        let limiter = Limiter::new("x", &[]).unwrap();
        let start = Instant::now();
        limiter.acquire(None, PATIENCE).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        limiter.hold().set(start, start, Duration::from_secs(30));
        limiter.acquire(None, PATIENCE).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        let now = Instant::now();
        limiter.hold().set(now, now, Duration::from_hours(2));
        assert_eq!(limiter.acquire(None, PATIENCE).await, Err(TooLong(Duration::from_hours(2))));
    }
}
