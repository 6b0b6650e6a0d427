//! The style sheet, the script and the icon, all part of the program. Their address carries a hash of them, so browsers
//! keep them for good and still get new ones with a new program.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::server::answer::Refusal;

const STYLE: &str = include_str!("assets/dashboard.css");
const SCRIPT: &str = include_str!("assets/dashboard.js");
const ICON: &str = include_str!("assets/icon.svg");

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    hasher.update(STYLE.as_bytes()).update(SCRIPT.as_bytes()).update(ICON.as_bytes());
    let mut hex = hasher.finalize().to_hex().to_string();
    hex.truncate(12);
    hex
});

/// Changes when one of them does.
pub(super) fn version() -> &'static str {
    &VERSION
}

/// `GET /assets/{name}`.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Refusal> {
    let (kind, text) = match name.as_str() {
        "dashboard.css" => ("text/css; charset=utf-8", STYLE),
        "dashboard.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(Refusal::http(StatusCode::NOT_FOUND, "There is no such file.")),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, text).into_response())
}
