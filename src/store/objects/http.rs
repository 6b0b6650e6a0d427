//! Objects of HTTP servers: ranges, entity tags, no redirects, and names that lead nowhere they must not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::file::nothing;
use super::origin::{Answer, Trouble};
use super::rules::{Rules, is_public};
use crate::error::chain;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// One object of a server.
#[derive(Debug, Clone)]
pub(super) struct HttpOrigin {
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
    /// For the head of an answer.
    pub(super) timeout: Duration,
}

/// A client that follows no redirect, unpacks nothing, goes through no proxy, and connects only where the rules allow.
pub(super) fn client(rules: &Rules, connect: Duration) -> Result<reqwest::Client, String> {
    install_crypto();
    reqwest::Client::builder()
        .user_agent(concat!("parser/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_gzip()
        .no_proxy()
        .referer(false)
        .http1_only()
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(Resolver { rules: rules.clone() }))
        .build()
        .map_err(|error| chain(&error.without_url()))
}

/// Makes ring the process's TLS provider, once; whoever installed one before wins.
fn install_crypto() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// Looks names up and keeps only the addresses that the name may lead to.
#[derive(Debug)]
struct Resolver {
    rules: Rules,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let trusted = self.rules.trusts(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<_> = found.into_iter().filter(|address| trusted || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name leads to a private address, and is not listed in full".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl HttpOrigin {
    pub(super) async fn open(&self, at: u64, tag: Option<&str>) -> Result<Answer, Trouble> {
        if !matches!(self.url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_))) {
            return Err(Trouble::Nonsense("an address without a host".to_owned()));
        }
        // What is unpacked is told by content; ranges count the bytes as they are.
        let mut request = self.client.get(self.url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if at > 0 {
            request = request.header(header::RANGE, format!("bytes={at}-"));
        }
        if let Some(strong) = tag.and_then(|tag| tag.strip_prefix("etag:")).filter(|tag| !tag.starts_with("W/")) {
            request = request.header(header::IF_MATCH, strong);
        }
        let response = match tokio::time::timeout(self.timeout, request.send()).await {
            Err(_) => return Err(Trouble::passing("no answer in time")),
            Ok(Err(error)) => return Err(Trouble::passing(chain(&error.without_url()))),
            Ok(Ok(response)) => response,
        };
        let (status, headers) = (response.status(), response.headers());
        let (start, length) = match status {
            StatusCode::OK => (0, content_length(headers)),
            StatusCode::PARTIAL_CONTENT => {
                let range = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).and_then(range);
                match range {
                    Some((start, length)) if start <= at => (start, length),
                    Some((start, _)) => {
                        return Err(Trouble::Nonsense(format!("asked for byte {at}, got byte {start}")));
                    }
                    None => return Err(Trouble::Nonsense("a part without a usable Content-Range".to_owned())),
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if at > 0 => {
                let length = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let length = length.and_then(|text| text.strip_prefix("bytes */")).and_then(|n| n.parse::<u64>().ok());
                return match length {
                    // Nothing was left to read.
                    Some(length) if length == at => {
                        Ok(Answer { tag: tag.map(str::to_owned), start: at, length: Some(length), body: nothing() })
                    }
                    Some(_) => Err(Trouble::Changed),
                    None => Err(Trouble::Nonsense("416 without the object's length".to_owned())),
                };
            }
            _ => return Err(judge(status, headers)),
        };
        let tag = version(headers, length);
        let body = response.bytes_stream().map_err(|error| Trouble::passing(chain(&error.without_url())));
        Ok(Answer { tag, start, length, body: body.boxed() })
    }
}

/// What a status other than success means.
fn judge(status: StatusCode, headers: &HeaderMap) -> Trouble {
    match status.as_u16() {
        code @ 300..=399 => Trouble::Redirected(code),
        404 | 410 => Trouble::NotFound,
        412 => Trouble::Changed,
        408 | 425 | 429 | 500 | 502..=504 | 509 | 520..=599 => Trouble::Passing {
            reason: format!("HTTP {}", status.as_u16()),
            after: headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()),
        },
        code => Trouble::Refused(format!("HTTP {code}")),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// Start and whole length of `bytes a-b/n`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let length = match length.trim() {
        "*" => None,
        length => Some(length.parse::<u64>().ok()?),
    };
    (start <= end && length.is_none_or(|length| end < length)).then_some((start, length))
}

/// What tells this version from others.
fn version(headers: &HeaderMap, length: Option<u64>) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(etag) = text(header::ETAG) {
        return Some(format!("etag:{etag}"));
    }
    let length = length.map(|length| length.to_string()).unwrap_or_default();
    text(header::LAST_MODIFIED).map(|time| format!("modified:{time}:{length}"))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn ranges_are_read_and_lies_are_not() {
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for lie in
            ["", "bytes", "bytes 9-5/10", "bytes 5-10/10", "bytes */10", "items 1-2/3", "bytes -5/10", "bytes a-b/c"]
        {
            assert_eq!(range(lie), None, "{lie}");
        }
    }
}
