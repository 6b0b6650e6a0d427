//! An answer before it becomes HTTP, so that the services can be tested without a socket.

use serde_json::Value;

/// The exact type that Kodik sends: clients compare it whole.
pub(crate) const JSON: &str = "application/json";

/// The type that Shikimori sends.
pub(crate) const JSON_UTF8: &str = "application/json; charset=utf-8";

/// Status, type and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Extra headers: `Retry-After`, `Location`, `Content-Encoding`.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// 200 with JSON.
    pub(crate) fn json(value: &Value) -> Self {
        Self::json_status(200, value)
    }

    /// Any status with JSON.
    pub(crate) fn json_status(status: u16, value: &Value) -> Self {
        Self::json_bytes(status, value.to_string().into_bytes())
    }

    /// JSON that is already written.
    pub(crate) fn json_bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: JSON, body, headers: Vec::new() }
    }

    /// A web page, as proxies and challenges answer.
    pub(crate) fn html(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/html; charset=utf-8", body: body.as_bytes().to_vec(), headers: Vec::new() }
    }

    /// Plain text.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/plain", body: body.as_bytes().to_vec(), headers: Vec::new() }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
