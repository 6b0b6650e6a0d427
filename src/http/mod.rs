//! The polite client: one [`Service`] per remote service, which owns every limit that service has.
//!
//! Order of the layers, outside in: retry → circuit breaker → permits → rate limiter → request. Every attempt,
//! retries and redirects included, therefore pays its permit and its tokens.

mod attempts;
mod body;
mod breaker;
mod call;
mod circuit;
mod classify;
mod error;
mod hold;
mod jitter;
mod limiter;
mod pace;
mod policy;
mod request;
mod retry;
mod service;
mod stats;
mod transport;

pub use attempts::count_attempts;
pub use classify::{default as default_classify, retry_after};
pub use error::HttpError;
pub use limiter::Limiter;
pub use policy::{Breaker, Profile, Retry, Timeouts, Window};
pub use request::{Param, Request, Response, Verdict};
pub use service::Service;
pub use stats::Stats;
