//! The polite client: one [`Service`] per remote service, which owns every limit that service has.
//!
//! Order of the layers, outside in: retry → circuit breaker → permits → rate limiter → request. Every attempt,
//! retries included, therefore pays its permit and its tokens.

mod error;
mod policy;
mod request;
mod service;

pub use error::HttpError;
pub use policy::{Breaker, Profile, Retry, Timeouts, Window};
pub use request::{Param, Request, Response, Verdict};
pub use service::{Service, Stats};
