//! `/sources`: how the services fared in the newest crawl, as it has left it beside its checkpoint.

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;

use super::frame::{Frame, Place, html};
use super::session::Visit;
use super::{filters, sources};
use crate::checkpoint::{Health, ServiceHealth};
use crate::error::chain;
use crate::server::app::Shared;

/// What is known of the newest crawl.
#[derive(Debug)]
pub(super) enum Newest {
    /// There was none, or it works on another state; here it would be.
    None(String),
    /// It cannot be read.
    Unreadable(String),
    /// It has ended.
    Known(Box<Health>),
}

/// Reads it anew each time: another process writes it.
pub(super) async fn newest(shared: &Shared) -> Newest {
    let path = shared.dashboard.options.health.clone();
    let read = tokio::task::spawn_blocking(move || (Health::read(&path), path)).await;
    match read {
        Ok((Ok(Some(health)), _)) => Newest::Known(Box::new(health)),
        Ok((Ok(None), path)) => Newest::None(path.display().to_string()),
        Ok((Err(error), _)) => Newest::Unreadable(chain(&error)),
        Err(error) => Newest::Unreadable(error.to_string()),
    }
}

/// A service's state in one word, and how it is coloured.
pub(super) fn verdict(service: &ServiceHealth) -> (&'static str, &'static str) {
    match service {
        ServiceHealth { requests: 0, .. } => ("not asked", "muted"),
        ServiceHealth { requests, failed, .. } if failed == requests => ("down", "bad"),
        ServiceHealth { breaker_opened: 1.., .. } => ("was down", "bad"),
        ServiceHealth { failed: 1.., .. } => ("some errors", "warn"),
        ServiceHealth { throttled: 1.., .. } => ("throttled", "warn"),
        _ => ("well", "good"),
    }
}

/// How a run's end is coloured.
pub(super) fn end_class(health: &Health) -> &'static str {
    match health.end.as_str() {
        "finished" if health.titles.failed == 0 => "good",
        "failed" => "bad",
        _ => "warn",
    }
}

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    frame: Frame,
    newest: Newest,
}

/// `GET /sources`.
pub(super) async fn page(State(shared): State<Shared>, Extension(visit): Extension<Visit>) -> Response {
    let newest = newest(&shared).await;
    html(&SourcesPage { frame: Frame::new(&visit, Place::Sources, "Sources"), newest })
}

#[cfg(test)]
mod tests {
    use super::{ServiceHealth, verdict};

    #[test]
    fn a_service_is_judged_by_its_worst() {
        let service = |requests, failed, throttled, breaker_opened| ServiceHealth {
            requests,
            failed,
            throttled,
            breaker_opened,
            ..ServiceHealth::default()
        };
        for (given, word) in [
            (service(0, 0, 0, 0), "not asked"),
            (service(9, 9, 0, 0), "down"),
            (service(9, 3, 0, 1), "was down"),
            (service(9, 3, 1, 0), "some errors"),
            (service(9, 0, 1, 0), "throttled"),
            (service(9, 0, 0, 0), "well"),
        ] {
            assert_eq!(verdict(&given).0, word);
        }
    }
}
