//! What every page is behind: a session, and for a change the proof that it comes from one of these pages. And what
//! every answer carries, so that a browser lets nobody else into it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::session::Visit;
use crate::server::answer::Refusal;
use crate::server::app::Shared;

/// Bytes of a form; the largest has a few ids in it.
const FORM: usize = 64 * 1024;

/// Scripts and styles from here only and never inline, forms to here only, in nobody's frame. Posters are pictures on
/// the sources' hosts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A submitted form whose sender has proved to be one of these pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Submitted(Vec<(String, String)>);

impl Submitted {
    /// A field; the first, if there are several.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Lets in whoever has a session. A change needs the session's form token, too; the form is read here, so that no
/// handler can forget to look.
pub(super) async fn signed_in(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let Some(visit) = visit(&shared, request.headers()) else {
        let asked = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let back = if request.method().is_safe() && asked != "/" {
            format!("/login?{}", super::frame::query(&[("next", asked)]))
        } else {
            "/login".to_owned()
        };
        return Redirect::to(&back).into_response();
    };
    if !request.method().is_safe() {
        match checked_form(&mut request, &visit).await {
            Ok(form) => request.extensions_mut().insert(form),
            Err(refusal) => return refusal.into_response(),
        };
    }
    request.extensions_mut().insert(visit);
    next.run(request).await
}

async fn checked_form(request: &mut Request, visit: &Visit) -> Result<Submitted, Refusal> {
    from_here(request.headers())?;
    let form = form(request).await?;
    if !form.field("form_token").is_some_and(|given| visit.has_form_token(given)) {
        return Err(Refusal::http(
            StatusCode::FORBIDDEN,
            "This form is out of date. Go back, reload the page, try again.",
        )
        .because("the form token is missing or another session's"));
    }
    Ok(form)
}

/// The session that a request comes with.
pub(super) fn visit(shared: &Shared, headers: &HeaderMap) -> Option<Visit> {
    shared.dashboard.sessions.of(headers, jiff::Timestamp::now().as_millisecond())
}

/// May a browser's session stand for the token here? To look, yes; a change has to bring the session's form token in
/// `X-Form-Token`, which only a script of these pages can send.
pub(in crate::server) fn lets_in(shared: &Shared, method: &Method, headers: &HeaderMap) -> bool {
    const FORM_TOKEN: HeaderName = HeaderName::from_static("x-form-token");
    let Some(visit) = visit(shared, headers) else { return false };
    let proved = || headers.get(FORM_TOKEN)?.to_str().ok().map(|given| visit.has_form_token(given));
    method.is_safe() || (from_here(headers).is_ok() && proved().unwrap_or(false))
}

/// Was it sent by one of these pages, as far as the browser says? Old browsers and other programs say nothing; for
/// them the form token has to do.
pub(super) fn from_here(headers: &HeaderMap) -> Result<(), Refusal> {
    const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let foreign = match (text(FETCH_SITE), text(header::ORIGIN), text(header::HOST)) {
        (Some(site), _, _) => site != "same-origin",
        (None, Some(origin), host) => origin.split_once("://").map(|(_, authority)| authority) != host,
        (None, None, _) => false,
    };
    if foreign {
        return Err(Refusal::http(StatusCode::FORBIDDEN, "This form was sent by another site.")
            .because("Sec-Fetch-Site or Origin names another origin"));
    }
    Ok(())
}

/// The form in a request's body.
pub(super) async fn form(request: &mut Request) -> Result<Submitted, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(Refusal::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This is not a form."));
    }
    let mut chunks = std::mem::take(request.body_mut()).into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::http(StatusCode::BAD_REQUEST, "The form ended early."))?;
        if whole.len() + chunk.len() > FORM {
            return Err(Refusal::http(StatusCode::PAYLOAD_TOO_LARGE, "This form is too large."));
        }
        whole.extend_from_slice(&chunk);
    }
    *request.body_mut() = Body::empty();
    Ok(Submitted(url::form_urlencoded::parse(&whole).into_owned().collect()))
}

/// Adds what keeps a browser from doing more with an answer than to show it.
pub(super) async fn hardened(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: with it browsers hide the origin of our own forms.
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
    set(header::CACHE_CONTROL, "no-store");
    response
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::from_here;

    fn sent(headers: &[(&'static str, &str)]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        from_here(&headers).is_ok()
    }

    #[test]
    fn only_these_pages_send_forms() {
        assert!(sent(&[("host", "h:1"), ("origin", "http://h:1"), ("sec-fetch-site", "same-origin")]));
        assert!(sent(&[("host", "inner"), ("origin", "https://outer"), ("sec-fetch-site", "same-origin")]));
        assert!(sent(&[("host", "h:1"), ("origin", "http://h:1")]));
        assert!(sent(&[("host", "h:1")]));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!sent(&[("host", "h:1"), ("origin", "http://h:1"), ("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["null", "http://evil", "http://h", "http://h:12", "h:1", ""] {
            assert!(!sent(&[("host", "h:1"), ("origin", origin)]), "{origin}");
        }
    }
}
