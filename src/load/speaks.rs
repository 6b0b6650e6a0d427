//! What a backend speaks: imports (this program's own server), or only the existing contract.

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::LoadError;
use crate::http::{Request, Service};

const IMPORTS: &str = "/api/v1/imports";

/// How a backend is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// A title is one request.
    Batch,
    /// A title is one request for each of its parts.
    Contract,
}

#[derive(Deserialize)]
struct Page {
    #[expect(dead_code, reason = "only looked for")]
    items: Vec<serde::de::IgnoredAny>,
}

/// Asks the backend. One that does not know the question speaks the contract.
pub async fn ask(service: &Service, token: &SecretString) -> Result<Speaks, LoadError> {
    let mut token = HeaderValue::from_str(token.expose_secret())
        .map_err(|_| LoadError::Config("INTERNAL_TOKEN holds characters that no header may hold".to_owned()))?;
    token.set_sensitive(true);
    let request =
        Request::get(IMPORTS, IMPORTS).query("limit", "1").header(HeaderName::from_static("x-internal-token"), token);
    let response = service.send(request).await?;
    let ours = response.status.is_success() && serde_json::from_slice::<Page>(&response.body).is_ok();
    // This server's own words for a wrong token: it speaks imports all the same, and the first one says what is wrong.
    let refused = matches!(response.status.as_u16(), 401 | 403)
        && response.headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    Ok(if ours || refused { Speaks::Batch } else { Speaks::Contract })
}
