//! One request on its way through the layers, and how an attempt can end without an answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::ExposeSecret;
use url::Url;

use super::circuit::Ticket;
use super::{HttpError, Param, Request};

/// A request made ready once, sent as often as needed. No `Debug`: its URL carries tokens.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) ready: Arc<Ready>,
    /// What the breaker let it through with.
    pub(super) ticket: Ticket,
}

/// What all attempts of one request share.
pub(super) struct Ready {
    pub(super) endpoint: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    progress: Mutex<Progress>,
}

/// What the attempts so far cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Attempts on the wire.
    pub(super) sent: u32,
    /// How long the last one took.
    pub(super) last_wire: Duration,
}

impl Call {
    pub(super) fn new(base: &Url, request: Request) -> Self {
        let mut url = base.clone();
        url.set_fragment(None);
        if !request.path.is_empty() {
            let prefix = base.path().trim_end_matches('/');
            if prefix.is_empty() {
                url.set_path(&request.path);
            } else {
                let mut path = String::with_capacity(prefix.len() + request.path.len() + 1);
                path.push_str(prefix);
                if !request.path.starts_with('/') {
                    path.push('/');
                }
                path.push_str(&request.path);
                url.set_path(&path);
            }
        }
        if !request.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &request.query {
                let value = match value {
                    Param::Plain(value) => value.as_str(),
                    Param::Secret(value) => value.expose_secret(),
                };
                pairs.append_pair(name, value);
            }
        }
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
        if request.json.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(request.headers);
        let ready = Ready {
            endpoint: request.endpoint,
            method: request.method,
            url,
            headers,
            body: request.json,
            progress: Mutex::default(),
        };
        Self { ready: Arc::new(ready), ticket: 0 }
    }
}

impl Ready {
    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts one more attempt and says how many there were with it.
    pub(super) fn sent(&self) -> u32 {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.sent += 1;
        super::attempts::count();
        progress.sent
    }
}

/// An attempt that brought no answer for the caller.
pub(super) enum Failure {
    /// Worth another attempt; the service is there.
    Retry(String),
    /// The service is not there.
    Outage(String),
    /// 429: what it asked for, and how long everybody now waits.
    Throttled { asked: Option<Duration>, wait: Duration },
    /// A redirect on the same host, to be followed.
    Hop(Url),
    /// The service answered, and no further attempt will help.
    Final(HttpError),
    /// Nothing was sent, because the breaker changed its mind meanwhile: wait at the breaker again.
    Recalled,
    /// Nothing was sent and nothing will be.
    Unsent(HttpError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, request: Request) -> String {
        Call::new(&base.parse().unwrap(), request).ready.url.to_string()
    }

    #[test]
    fn urls_are_the_base_and_the_path_and_the_query() {
        assert_eq!(url("http://h/", Request::get("/list", "/list")), "http://h/list");
        assert_eq!(url("http://h", Request::get("list", "/list")), "http://h/list");
        assert_eq!(url("http://h/v1/", Request::get("/list", "/list")), "http://h/v1/list");
        assert_eq!(url("http://h/v1", Request::get("list", "/list")), "http://h/v1/list");
        let request = Request::get("/s", "/s").query("title", "a b&c").secret("token", "t=1".into());
        assert_eq!(url("http://h", request), "http://h/s?title=a+b%26c&token=t%3D1");
        assert_eq!(url("http://h", Request::get("//evil/x", "/x")), "http://h//evil/x");
        assert_eq!(url("http://h", Request::get("/a?b#c", "/a")), "http://h/a%3Fb%23c");
    }
}
