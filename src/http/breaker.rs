//! The circuit breaker as a layer: holds requests back while the service is not there, and sends one to look.
//!
//! A request that meets an outage waits it out in here, so that an outage costs it none of its attempts.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt};

use super::call::{Call, Failure};
use super::circuit::{Admission, Change, Circuit, Ticket};
use super::policy::Breaker;
use super::stats::Counters;
use super::{HttpError, Response};
use crate::observe::events;

/// The breaker of one service, shared by all its requests.
pub(super) struct Gate {
    service: &'static str,
    circuit: Mutex<Circuit>,
    changed: Notify,
    counters: Arc<Counters>,
}

impl Gate {
    pub(super) fn new(service: &'static str, policy: Breaker, counters: Arc<Counters>) -> Self {
        Self { service, circuit: Mutex::new(Circuit::new(policy)), changed: Notify::new(), counters }
    }

    /// Has nothing changed since this ticket was given?
    pub(super) fn is_current(&self, ticket: Ticket) -> bool {
        self.circuit().is_current(ticket)
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may go.
    async fn enter(self: &Arc<Self>) -> Result<Pass, HttpError> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let admission = self.circuit().admit(Instant::now());
            match admission {
                Admission::Pass(ticket) => return Ok(Pass { ticket, gate: Arc::clone(self), probing: false }),
                Admission::Probe(ticket) => {
                    events::breaker_changed(self.service, "half_open", "probing");
                    return Ok(Pass { ticket, gate: Arc::clone(self), probing: true });
                }
                // Either way we look again.
                Admission::Wait(until) => drop(timeout_at(until, changed).await),
                Admission::Down(down_for, last) => {
                    return Err(HttpError::Down { service: self.service, down_for, last });
                }
            }
        }
    }

    fn report(&self, change: Option<Change>) {
        match change {
            None => return,
            Some(Change::Opened(reason)) => {
                self.counters.update(|stats| stats.breaker_opened += 1);
                events::breaker_changed(self.service, "open", &reason);
            }
            Some(Change::Closed) => events::breaker_changed(self.service, "closed", "the service answers again"),
        }
        self.changed.notify_waiters();
    }
}

/// Leave to send one request. A probe that is dropped before it knows anything makes room for the next one.
struct Pass {
    ticket: Ticket,
    gate: Arc<Gate>,
    probing: bool,
}

impl Pass {
    fn answered(mut self) {
        self.probing = false;
        let change = self.gate.circuit().answered(self.ticket);
        self.gate.report(change);
    }

    /// Says whether the breaker is closed even so.
    fn failed(mut self, reason: &str) -> bool {
        self.probing = false;
        let (change, closed) = {
            let mut circuit = self.gate.circuit();
            (circuit.failed(self.ticket, Instant::now(), reason), circuit.is_closed())
        };
        self.gate.report(change);
        closed
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probing {
            self.gate.circuit().abandoned(self.ticket, Instant::now());
            self.gate.changed.notify_waiters();
        }
    }
}

/// A service behind a [`Gate`].
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl<S> Service<Call> for Guarded<S>
where
    S: Service<Call, Response = Response, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Response, Failure>>;

    /// Always: the permit below is asked for only once the gate is passed.
    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (inner, gate) = (self.inner.clone(), Arc::clone(&self.gate));
        Pin::from(Box::new(guarded(inner, gate, call)))
    }
}

async fn guarded<S>(mut inner: S, gate: Arc<Gate>, mut call: Call) -> Result<Response, Failure>
where
    S: Service<Call, Response = Response, Error = Failure>,
{
    loop {
        let entered = Instant::now();
        let pass = gate.enter().await;
        gate.counters.waited(entered.elapsed());
        let pass = pass.map_err(Failure::Unsent)?;
        call.ticket = pass.ticket;
        let result = match inner.ready().await {
            Ok(inner) => inner.call(call.clone()).await,
            Err(failure) => Err(failure),
        };
        match result {
            Err(Failure::Outage(reason)) => {
                if pass.failed(&reason) {
                    return Err(Failure::Outage(reason));
                }
            }
            // Nothing was learnt; if this was the probe, dropping its pass lets another look.
            Err(Failure::Recalled) => {}
            Err(failure @ Failure::Unsent(_)) => return Err(failure),
            other => {
                pass.answered();
                return other;
            }
        }
    }
}
