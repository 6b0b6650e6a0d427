//! Objects of S3-compatible stores: path style, an endpoint of one's own, requests signed with keys from the settings or
//! from a profile.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, GetResult, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::credentials;
use super::file::nothing;
use super::origin::{Answer, Trouble};
use crate::config::{S3Keys, S3Settings};

/// One object of a bucket.
#[derive(Debug, Clone)]
pub(super) struct S3Origin {
    store: Arc<AmazonS3>,
    path: Path,
    timeout: Duration,
}

/// Where buckets are and who asks. Secrets are not shown.
#[derive(Debug, Clone)]
pub(super) struct S3 {
    pub(super) endpoint: Option<Url>,
    region: String,
    keys: Option<S3Keys>,
    /// Why a profile has given no keys.
    problem: Option<String>,
    client: reqwest::Client,
    timeout: Duration,
}

/// Gives every store the one client that follows no redirects.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

impl S3 {
    pub(super) fn new(settings: &S3Settings, client: reqwest::Client, timeout: Duration) -> Self {
        let (keys, problem) = match &settings.keys {
            Some(keys) => (Some(keys.clone()), None),
            None => match credentials::of_profile(settings) {
                Ok(keys) => (keys, None),
                Err(problem) => (None, Some(problem)),
            },
        };
        let (endpoint, region) = (settings.endpoint.clone(), settings.region.clone());
        Self { endpoint, region, keys, problem, client, timeout }
    }

    /// The object. Nothing is asked yet.
    pub(super) fn origin(&self, bucket: &str, key: &str) -> Result<S3Origin, Trouble> {
        let path = Path::parse(key).map_err(|_| Trouble::Refused("no store has such a key".to_owned()))?;
        Ok(S3Origin { store: Arc::new(self.store(bucket)?), path, timeout: self.timeout })
    }

    /// The bucket. Nothing is asked yet.
    pub(super) fn store(&self, bucket: &str) -> Result<AmazonS3, Trouble> {
        let Some(keys) = &self.keys else {
            let none = "no keys: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or S3_PROFILE".to_owned();
            return Err(Trouble::Refused(self.problem.clone().unwrap_or(none)));
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.region)
            .with_access_key_id(&keys.id)
            .with_secret_access_key(keys.secret.expose_secret())
            .with_virtual_hosted_style_request(false)
            .with_allow_http(true)
            // Whoever reads tries again, for all kinds of sources alike.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Connector(self.client.clone()));
        if let Some(token) = &keys.session {
            builder = builder.with_token(SecretString::expose_secret(token));
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        builder.build().map_err(|_| Trouble::Refused("the settings of S3 do not fit together".to_owned()))
    }
}

impl S3Origin {
    pub(super) async fn open(&self, at: u64, tag: Option<&str>) -> Result<Answer, Trouble> {
        let if_match = tag.and_then(|tag| tag.strip_prefix("etag:")).map(str::to_owned);
        let range = (at > 0).then_some(GetRange::Offset(at));
        let asked = self.get(GetOptions { if_match: if_match.clone(), range, ..GetOptions::default() }).await;
        let (start, result) = match asked {
            Ok(result) => (result.range.start, result),
            Err(error) if at > 0 && status_of(&error) == Some(416) => return self.at_end(at, tag).await,
            // The whole object instead of a part of it.
            Err(error) if at > 0 && error.to_string().contains("non-partial response") => {
                let result = self.get(GetOptions { if_match, ..GetOptions::default() }).await;
                (0, result.map_err(|error| trouble(&error))?)
            }
            Err(error) => return Err(trouble(&error)),
        };
        let tag = result.meta.e_tag.as_ref().map(|etag| format!("etag:{etag}"));
        let length = Some(result.meta.size);
        let body = result.into_stream().map_err(|error| trouble(&error));
        Ok(Answer { tag, start, length, body: body.boxed() })
    }

    async fn get(&self, options: GetOptions) -> Result<GetResult, Error> {
        let answer = tokio::time::timeout(self.timeout, self.store.get_opts(&self.path, options)).await;
        answer.unwrap_or_else(|_| Err(late()))
    }

    /// Nothing is after byte `at`: is that the end of the object that was begun?
    async fn at_end(&self, at: u64, tag: Option<&str>) -> Result<Answer, Trouble> {
        let head = tokio::time::timeout(self.timeout, self.store.head(&self.path)).await;
        let meta = head.unwrap_or_else(|_| Err(late())).map_err(|error| trouble(&error))?;
        if meta.size != at {
            return Err(Trouble::Changed);
        }
        let now = meta.e_tag.map(|etag| format!("etag:{etag}"));
        let tag = now.or_else(|| tag.map(str::to_owned));
        Ok(Answer { tag, start: at, length: Some(at), body: nothing() })
    }
}

fn late() -> Error {
    Error::Generic { store: "S3", source: "no answer in time".into() }
}

/// What an error means. Bodies of answers are not repeated but for their code: some quote what was signed.
pub(super) fn trouble(error: &Error) -> Trouble {
    let code = code_of(error);
    match error {
        Error::NotFound { .. } => Trouble::NotFound,
        Error::Precondition { .. } | Error::NotModified { .. } => Trouble::Changed,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Trouble::Refused(code.unwrap_or_else(|| "no permission".to_owned()))
        }
        other => match status_of(other) {
            Some(status @ 300..=399) => Trouble::Redirected(status),
            Some(status @ (408 | 425 | 429 | 500..=599)) => {
                Trouble::passing(code.unwrap_or_else(|| format!("HTTP {status}")))
            }
            Some(status) => Trouble::Refused(code.unwrap_or_else(|| format!("HTTP {status}"))),
            None if other.to_string().contains("redirect without LOCATION") => Trouble::Redirected(301),
            None => Trouble::passing(cause(other)),
        },
    }
}

/// The status in an error's text; the type that holds it is private to the crate.
fn status_of(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// `<Code>` of the answer's XML.
fn code_of(error: &Error) -> Option<String> {
    let text = error.to_string();
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    (code.len() < 100 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| code.to_owned())
}

/// The innermost cause, which names no address.
fn cause(error: &Error) -> String {
    let mut at: &dyn std::error::Error = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
