//! `/live`: tells open pages that something on them has changed, as server-sent events. The page then asks for itself
//! again and shows the difference: there is one place where a page is made, and that is the server.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderName, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::server::answer::Refusal;
use crate::server::app::Shared;

/// How often it is looked at what other processes did.
const LOOK: Duration = Duration::from_secs(2);

/// Not more often than this.
const PAUSE: Duration = Duration::from_millis(300);

/// Something is sent at least this often, so that nobody between us takes the connection for dead.
const HEART_BEAT: Duration = Duration::from_secs(15);

struct Watching {
    shared: Shared,
    seen: Option<blake3::Hash>,
    news: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// `GET /live`.
pub(super) async fn changes(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let Some((place, closing)) = shared.streams.enter() else {
        return Err(Refusal::busy("Too many pages are open at once.", 5));
    };
    let news = shared.imports.news();
    let watching = Watching { shared, seen: None, news, closing, _place: place };
    let body = stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|text| (Ok::<_, std::convert::Infallible>(Bytes::from_static(text)), watching))
    });
    let mut response = ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response();
    // Some proxies would keep events until they have a page of them.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

impl Watching {
    /// What is sent next; `None` at the end.
    async fn next(&mut self) -> Option<&'static [u8]> {
        if self.seen.is_some() {
            sleep(PAUSE).await;
        }
        let beat = Instant::now() + HEART_BEAT;
        loop {
            if *self.closing.borrow() {
                return None;
            }
            self.news.mark_unchanged();
            let now = state(&self.shared).await;
            if self.seen != Some(now) {
                self.seen = Some(now);
                return Some(b"event: changed\ndata: \n\n");
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return None,
                _ = self.news.changed() => {}
                () = sleep(LOOK) => {}
                () = sleep_until(beat) => return Some(b": still here\n\n"),
            }
            sleep(PAUSE).await;
        }
    }
}

/// A hash of everything that pages show live. A store that does not answer is no change.
async fn state(shared: &Shared) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in super::overview::live_parts(shared).await {
        hasher.update(part.as_bytes());
    }
    hasher.finalize()
}
