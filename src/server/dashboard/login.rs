//! Signing in with the server's token, and out.

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;

use super::frame::{Frame, html, html_with};
use super::guard;
use super::paging::Asked;
use super::session::Visit;
use crate::observe::events;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::server::probes::Peer;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    problem: Option<String>,
}

/// `GET /login`.
pub(super) async fn page(State(shared): State<Shared>, request: Request) -> Response {
    let next = local(Some(Asked::of(request.uri()).text("next")));
    if guard::visit(&shared, request.headers()).is_some() {
        return Redirect::to(&next).into_response();
    }
    html(&LoginPage { frame: Frame::outside("Sign in"), next, problem: None })
}

/// `POST /login`.
pub(super) async fn sign_in(
    State(shared): State<Shared>,
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
) -> Result<Response, Refusal> {
    guard::from_here(request.headers())?;
    let form = guard::form(&mut request).await?;
    let now = Timestamp::now().as_millisecond();
    let next = local(form.field("next"));
    let refused = |status, problem: String, retry: Option<u32>| {
        let page = LoginPage { frame: Frame::outside("Sign in"), next: next.clone(), problem: Some(problem) };
        let mut response = html_with(status, &page);
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    };
    let dashboard = &shared.dashboard;
    if let Some(seconds) = dashboard.throttle.wait(peer.ip(), now) {
        let problem = format!("Too many attempts failed from your address. Try again in {seconds} seconds.");
        return Ok(refused(StatusCode::TOO_MANY_REQUESTS, problem, Some(seconds)));
    }
    if !shared.token.is(form.field("token").unwrap_or_default().trim().as_bytes()) {
        dashboard.throttle.failed(peer.ip(), now);
        events::login_failed(peer.ip());
        return Ok(refused(StatusCode::FORBIDDEN, "That is not this server’s token.".to_owned(), None));
    }
    let cookie = dashboard.sessions.begin(now).map_err(|error| Refusal::internal(error.to_string()))?;
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Refusal::internal(error.to_string()))?;
    let mut response = Redirect::to(&next).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `POST /logout`.
pub(super) async fn out(State(shared): State<Shared>, Extension(visit): Extension<Visit>) -> Result<Response, Refusal> {
    let cookie = shared.dashboard.sessions.end(&visit, Timestamp::now().as_millisecond());
    let mut response = Redirect::to("/login").into_response();
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Refusal::internal(error.to_string()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// A page of ours to go to: a path, never another host.
fn local(next: Option<&str>) -> String {
    let plain = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains('\\')
            && path.len() <= 2048
            && path.bytes().all(|byte| (0x21..0x7f).contains(&byte))
            && !path.starts_with("/login")
    };
    next.filter(plain).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn the_way_back_stays_here() {
        for path in ["/", "/catalogue?q=a%20b&page=2", "/imports/1#x"] {
            assert_eq!(local(Some(path)), path);
        }
        for path in ["", "//evil", "/\\evil", "https://evil", "evil", "/a\r\nb: c", "/ж", "/login?next=/", "/a b"] {
            assert_eq!(local(Some(path)), "/", "{path}");
        }
        assert_eq!(local(None), "/");
    }
}
