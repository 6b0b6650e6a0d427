//! Lists that no honest source sends: items that are no materials, cursors that are refused for ever.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State as Given};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;

use crate::harness::{Run, State, assert_sums, fixture};

const ITEM: &str = r#"{"id":"serial-1","type":"anime-serial","link":"//kodik.invalid/serial/1/a/720p",
    "title":"Пример","shikimori_id":"9001","updated_at":"2024-01-02T03:04:05Z",
    "translation":{"id":610,"title":"Studio","type":"voice"},
    "last_season":1,"last_episode":1,"seasons":{"1":{"link":"//kodik.invalid/season/1/a/720p",
    "episodes":{"1":"//kodik.invalid/seria/1/a/720p"}}}}"#;

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
}

/// A Kodik with one list of one page, or one whose first page leads nowhere.
#[derive(Clone)]
struct Kodik {
    first: Arc<String>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
    address: SocketAddr,
}

impl Kodik {
    fn start(first: impl FnOnce(SocketAddr) -> String) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let kodik = Self { first: Arc::new(first(address)), asked: Arc::default(), address };
        let state = kodik.clone();
        // Ends with the test process.
        std::thread::spawn(move || {
            crate::harness::block_on(async {
                let app = Router::new().route("/list", get(list)).with_state(state);
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
            });
        });
        kodik
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().clone()
    }

    fn run<'a>(&self, sandbox: &parser::sandbox::Sandbox, state: &'a State, args: &[&str]) -> Run<'a> {
        Run::new(sandbox, state, args).env("KODIK_BASE_URL", &format!("http://{}", self.address))
    }
}

async fn list(Given(kodik): Given<Kodik>, Query(asked): Query<Asked>) -> impl IntoResponse {
    let refused = asked.next.is_some();
    kodik.asked.lock().unwrap().push(asked.next);
    let json = [(header::CONTENT_TYPE, "application/json")];
    if refused {
        return (StatusCode::INTERNAL_SERVER_ERROR, json, r#"{"error":"Неправильный параметр next"}"#.to_owned());
    }
    (StatusCode::OK, json, kodik.first.to_string())
}

#[test]
fn items_that_cannot_be_read_are_counted_as_failed() {
    let kodik = Kodik::start(|_| {
        format!(r#"{{"time":"1ms","total":3,"prev_page":null,"next_page":null,"results":[{ITEM},{{"title":"x"}},7]}}"#)
    });
    let sandbox = fixture();
    // A run that is killed right after its listing has begun counts the same.
    for crash in [None, Some("crawl.listing.begun"), Some("crawl.page.landed")] {
        let state = State::new();
        let args: &[&str] = match crash {
            Some(point) => {
                assert!(kodik.run(&sandbox, &state, &["--mode", "full"]).crash_at(point, 1).finish().aborted());
                &["--resume"]
            }
            None => &["--mode", "full"],
        };
        let finished = kodik.run(&sandbox, &state, args).finish();
        assert_eq!(finished.code(), Some(1), "{crash:?}: {finished:#?}");
        let summary = finished.summary();
        assert_sums(&summary);
        assert_eq!(summary["titles"]["extracted"], 3, "{crash:?}: {summary}");
        assert_eq!(summary["titles"]["failed"], 2, "{crash:?}: {summary}");
        assert_eq!(summary["titles"]["created"], 1, "{crash:?}: {summary}");
        assert!(finished.stderr.contains("kodik/bad_material"), "{crash:?}: {finished:#?}");
    }
}

#[test]
fn a_source_that_refuses_its_own_cursors_is_not_asked_for_ever() {
    let kodik = Kodik::start(|address| {
        let next = format!("http://{address}/list?token=x&next=abc");
        format!(r#"{{"time":"1ms","total":300,"prev_page":null,"next_page":"{next}","results":[{ITEM}]}}"#)
    });
    let sandbox = fixture();
    for args in [&["--mode", "full"][..], &["--mode", "full", "--max-pages", "3"]] {
        kodik.asked.lock().unwrap().clear();
        let finished = kodik.run(&sandbox, &State::new(), args).finish();
        assert_eq!(finished.code(), Some(3), "{finished:#?}");
        assert_eq!(kodik.asked(), [None, Some("abc".to_owned()), None, Some("abc".to_owned())]);
    }
}
