//! Asks each service one small question with its token, once and without patience.

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::config::{BackendApi, BackendSettings, Settings};
use crate::crawl::Services;
use crate::error::{Party, chain};
use crate::extract::{Drift, Fetched, Kodik, KodikOptions, Order, Shikimori, ShikimoriOptions};
use crate::http::{Request, Service};
use crate::load;
use crate::model::SeriesId;

use super::Check;

/// Asks all of them.
pub(super) fn ask(settings: &Settings) -> Vec<Check> {
    let mut hasty = settings.clone();
    hasty.http.max_retries = 0;
    hasty.http.timeout = hasty.http.timeout.min(Duration::from_secs(10));
    hasty.http.breaker.cooldown = Duration::from_millis(1);
    hasty.http.breaker.give_up = Duration::from_millis(1);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Check::bad("services", Party::Usage, error.to_string(), "")],
    };
    match Services::new(&hasty) {
        Ok(services) => runtime.block_on(async {
            let (kodik, shikimori, backend) = tokio::join!(
                timed(kodik(&hasty, services.kodik)),
                timed(shikimori(services.shikimori)),
                timed(backend(hasty.backend.as_ref(), services.backend)),
            );
            vec![kodik, shikimori, backend]
        }),
        Err(error) => vec![Check::fault("services", &error)],
    }
}

async fn timed(check: impl Future<Output = Option<Check>>) -> Check {
    let started = Instant::now();
    match check.await {
        Some(check) => {
            let elapsed = u64::try_from(started.elapsed().as_millis()).ok();
            Check { milliseconds: elapsed, ..check }
        }
        None => Check::good("backend", Party::Backend, "embedded (BACKEND_BASE_URL is not set)"),
    }
}

async fn kodik(settings: &Settings, service: Service) -> Option<Check> {
    let at = format!("kodik at {}", settings.kodik.base_url);
    let Some(token) = settings.kodik.token.clone() else {
        let hint = "set KODIK_API_TOKEN; without one, try `parser run --mode full --sandbox`";
        return Some(Check::bad(at, Party::Usage, "not asked: there is no token", hint));
    };
    let options = KodikOptions { types: settings.kodik.types.clone(), with_titles: false, page_limit: 1 };
    let kodik = Kodik::new(service, token, options, Drift::default());
    Some(match kodik.list_page(None, Order::NewestFirst).await {
        Ok(page) => {
            let total = page.total.map(|total| format!(", {total} materials")).unwrap_or_default();
            Check::good(at, Party::Source, format!("answers /list with this token{total}"))
        }
        Err(error) => Check::fault(at, &error),
    })
}

async fn shikimori(service: Service) -> Option<Check> {
    let at = format!("shikimori at {}", service.base_url());
    let shikimori = Shikimori::new(service, ShikimoriOptions::default());
    let id = SeriesId(1);
    let reason = match shikimori.check_graphql(id).await {
        Ok(()) => return Some(Check::good(at, Party::Source, "answers by GraphQL")),
        Err(error) if error.is_fatal() => return Some(Check::fault(at, &error)),
        Err(error) => chain(&error),
    };
    // Posters are only in GraphQL, but a run gets along without.
    Some(match shikimori.metadata(&[id]).await.map(|answers| answers.into_iter().next()) {
        Err(error) | Ok(Some((_, Fetched::Failed(error)))) => Check::fault(at, &error),
        Ok(_) => Check::good(at, Party::Source, format!("answers by REST, but not by GraphQL ({reason})")),
    })
}

/// The contract has no read call, so an empty import is posted: a backend that accepts the token refuses the body
/// (422), one that does not answers 403. Nothing can be imported by it.
async fn backend(settings: Option<&BackendSettings>, service: Option<Service>) -> Option<Check> {
    let (settings, service) = (settings?, service?);
    let at = format!("backend at {}", settings.base_url);
    let Ok(mut token) = HeaderValue::from_str(settings.token.expose_secret()) else {
        let hint = "INTERNAL_TOKEN must be plain ASCII without spaces at its ends";
        return Some(Check::bad(at, Party::Usage, "not asked: the token cannot be sent in a header", hint));
    };
    token.set_sensitive(true);
    // The imports API says itself that it is there; the contract has to be tried.
    let speaks_imports = match settings.api {
        Some(BackendApi::Contract) => false,
        Some(BackendApi::Batch) => true,
        None => load::ask(&service, &settings.token).await.is_ok_and(|speaks| speaks == load::Speaks::Batch),
    };
    if speaks_imports {
        return Some(imports_api(at, &service, token).await);
    }
    let request = Request::post_json("/api/v1/internal/import/episodes", "/api/v1/internal/import/episodes", "{}")
        .header(HeaderName::from_static("x-internal-token"), token);
    let answer = match service.send(request).await {
        Ok(answer) => answer,
        Err(error) => {
            return Some(Check::bad(
                at,
                Party::Backend,
                chain(&error),
                "is it running, and is BACKEND_BASE_URL right?",
            ));
        }
    };
    Some(match answer.status.as_u16() {
        422 | 400 => Check::good(
            at,
            Party::Backend,
            "speaks the import contract (a title is several requests: `contract`) and accepts the token",
        ),
        401 | 403 => Check::bad(
            at,
            Party::Backend,
            "refuses the token",
            "set INTERNAL_TOKEN to exactly the backend's INTERNAL_TOKEN",
        ),
        404 | 405 => Check::bad(
            at,
            Party::Backend,
            "has no import API there",
            "BACKEND_BASE_URL is the part before /api/v1/internal/import",
        ),
        status => Check::bad(at, Party::Backend, format!("answers HTTP {status}"), "see the backend's own log"),
    })
}

/// A list of imports is shown to whoever has the token.
async fn imports_api(at: String, service: &Service, token: HeaderValue) -> Check {
    let request = Request::get("/api/v1/imports", "/api/v1/imports")
        .query("limit", "1")
        .header(HeaderName::from_static("x-internal-token"), token);
    match service.send(request).await.map(|answer| answer.status.as_u16()) {
        Ok(200) => {
            Check::good(at, Party::Backend, "takes imports (a title is one request: `batch`) and accepts the token")
        }
        Ok(401 | 403) => Check::bad(
            at,
            Party::Backend,
            "refuses the token",
            "set INTERNAL_TOKEN to exactly the backend's INTERNAL_TOKEN",
        ),
        Ok(404 | 405) => Check::bad(
            at,
            Party::Backend,
            "has no imports API there",
            "BACKEND_BASE_URL is the part before /api/v1/imports; or set BACKEND_API=contract",
        ),
        Ok(status) => Check::bad(at, Party::Backend, format!("answers HTTP {status}"), "see the backend's own log"),
        Err(error) => Check::bad(at, Party::Backend, chain(&error), "is it running, and is BACKEND_BASE_URL right?"),
    }
}
