//! Pages, search answers and refusals of Kodik, without a network.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde_json::json;
use std::time::Duration;
use url::Url;

use super::{Cursor, Kodik, KodikOptions, classify};
use crate::extract::{Drift, ExtractError};
use crate::http::{Breaker, Profile, Response, Retry, Service, Timeouts, Verdict};
use crate::model::SeriesId;

fn kodik(drift: &Drift) -> Kodik {
    let base_url = Url::parse("https://kodik.test").expect("a URL");
    let second = Duration::from_secs(1);
    let profile = Profile {
        name: "kodik",
        base_url,
        user_agent: "test".to_owned(),
        windows: Vec::new(),
        permits: 1,
        timeouts: Timeouts { connect: second, headers: second, total: second },
        retry: Retry {
            max_attempts: 1,
            max_throttled: 1,
            base: second,
            floor: second,
            ceiling: second,
            max_elapsed: second,
        },
        breaker: Breaker { threshold: 1, cooldown: second, max_cooldown: second, give_up_after: second },
        max_body: 1 << 20,
        classify,
    };
    let service = Service::new(profile, None).expect("a service");
    Kodik::new(service, SecretString::from("marker"), KodikOptions::default(), drift.clone())
}

fn body(value: &serde_json::Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn verdict(status: u16, body: &str) -> Verdict {
    let status = StatusCode::from_u16(status).expect("a status");
    classify(&Response { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) })
}

#[test]
fn a_page_keeps_each_material_byte_for_byte() {
    let drift = Drift::default();
    let text = r#"{"time":"2ms","total":3,"prev_page":null,"next_page":"https://kodik.test/list?token=marker&next=WzFd%3D","results":[
        {"id":"serial-1",  "shikimori_id":"20","updated_at":"2024-01-02T03:04:05Z","x":[1, 2]},
        {"id":"movie-2","shikimori_id":21}]}"#;
    let page = kodik(&drift).page(&Bytes::from(text), None).expect("a page");
    assert_eq!((page.total, page.rejected.len(), page.next), (Some(3), 0, Some(Cursor::new("WzFd="))));
    let [first, second] = &page.materials[..] else { panic!("{:?}", page.materials) };
    assert_eq!((first.id.0.as_str(), first.series), ("serial-1", Some(SeriesId(20))));
    assert_eq!(first.updated_at.as_deref(), Some("2024-01-02T03:04:05Z"));
    assert!(text.contains(std::str::from_utf8(&first.raw).expect("text")) && first.raw.ends_with(b"[1, 2]}"));
    assert_eq!((second.series, second.updated_at.as_deref()), (Some(SeriesId(21)), None));
    assert_eq!(drift.summary(), [], "a page is only placed, its contents are judged later");
}

#[test]
fn quirk_11_a_shikimori_id_is_a_text_a_number_prefixed_blank_or_garbage() {
    let drift = Drift::default();
    let ids = [
        json!("20"),
        json!(20),
        json!("z5114"),
        json!(" 7 "),
        json!(""),
        json!(null),
        json!("one"),
        json!(-1),
        json!([1]),
    ];
    let results: Vec<_> = ids.iter().map(|id| json!({"id": "serial-1", "shikimori_id": id})).collect();
    let page = kodik(&drift).page(&body(&json!({"results": results})), None).expect("a page");
    let series: Vec<_> = page.materials.iter().map(|material| material.series.map(|id| id.0)).collect();
    assert_eq!(series, [Some(20), Some(20), Some(5114), Some(7), None, None, None, None, None]);
    let entry = &drift.summary()[0];
    assert_eq!((entry.path.as_str(), entry.count), ("material.shikimori_id", 3));
}

#[test]
fn an_item_that_is_no_material_is_rejected_alone() {
    let drift = Drift::default();
    let results = json!([{"id": "serial-1"}, 5, null, ["id"], {"title": "x"}, {"id": "a".repeat(500)}, {"id": {}}, {"id": "movie-2"}]);
    let page = kodik(&drift).page(&body(&json!({"results": results})), None).expect("a page");
    assert_eq!(page.materials.len(), 2);
    let reasons: Vec<_> = page.rejected.iter().map(|item| item.reason.as_str()).collect();
    let not_object = "not a JSON object";
    assert_eq!(reasons, [not_object, not_object, not_object, "no id", "the id is too long", "no id"]);
    assert_eq!(&page.rejected[0].raw[..], b"5");
}

#[test]
fn quirk_02_the_last_page_has_no_next() {
    for last in
        [json!({"results": [], "next_page": null}), json!({"results": []}), json!({"results": [], "next_page": ""})]
    {
        assert_eq!(kodik(&Drift::default()).page(&body(&last), None).expect("a page").next, None);
    }
}

#[test]
fn paging_that_cannot_be_followed_stops_the_run() {
    let page = |next: serde_json::Value, asked: Option<&Cursor>| {
        kodik(&Drift::default()).page(&body(&json!({"results": [], "next_page": next})), asked).expect_err("an error")
    };
    assert!(matches!(page(json!("https://evil.test/list?next=a"), None), ExtractError::ForeignNextPage { .. }));
    assert!(matches!(page(json!("https://kodik.test/list?token=marker"), None), ExtractError::NoCursor));
    assert!(matches!(page(json!({"a": 1}), None), ExtractError::NoCursor));
    let asked = Cursor::new("a");
    let error = page(json!("/list?next=a"), Some(&asked));
    assert!(matches!(error, ExtractError::RepeatingCursor { .. }) && error.is_fatal());
}

#[test]
fn quirk_16_odd_totals_and_unknown_envelope_fields_do_no_harm() {
    let drift = Drift::default();
    let page = kodik(&drift).page(&body(&json!({"total": "many", "results": [], "quota": 5})), None).expect("a page");
    assert_eq!(page.total, None);
    assert_eq!(drift.summary()[0].path, "list.quota");
}

#[test]
fn an_answer_without_results_is_an_error() {
    for odd in [json!({"total": 1}), json!({"results": null}), json!({"results": {"a": 1}})] {
        let error = kodik(&Drift::default()).page(&body(&odd), None).expect_err("an error");
        assert!(matches!(error, ExtractError::Unexpected { .. }), "{error}");
    }
}

#[test]
fn a_search_keeps_to_the_asked_title_and_says_when_it_is_full() {
    let drift = Drift::default();
    let item = |n: u32, id: &str| json!({"id": format!("serial-{n}"), "shikimori_id": id});
    let found =
        kodik(&drift).found(&body(&json!({"total": 2, "results": [item(1, "20"), item(2, "21")]})), SeriesId(20));
    let found = found.expect("an answer");
    assert_eq!((found.materials.len(), found.rejected.len(), found.maybe_truncated), (1, 1, false));
    assert_eq!(found.rejected[0].id.as_deref(), Some("serial-2"));
    let full: Vec<_> = (0..100).map(|n| item(n, "20")).collect();
    let found = kodik(&drift).found(&body(&json!({"total": 100, "results": full})), SeriesId(20)).expect("an answer");
    assert!(found.maybe_truncated);
}

#[test]
fn translations_skip_what_is_none() {
    let drift = Drift::default();
    let answer = body(&json!({"results": [{"id": 610, "title": "Studio", "count": 5}, {"title": "x"}, 7]}));
    let list = kodik(&drift).read_translations(&answer).expect("a list");
    assert_eq!((list.len(), list[0].id, list[0].count), (1, 610, 5));
    assert_eq!(drift.summary()[0].count, 2);
}

#[test]
fn quirk_01_application_errors_are_never_asked_again() {
    let token = r#"{"error":"Отсутствует или неверный токен"}"#;
    for status in [200, 401, 403, 500, 503] {
        assert_eq!(verdict(status, token), Verdict::Done, "{status}");
    }
    assert_eq!(verdict(500, r#"{"error":"Неправильный тип"}"#), Verdict::Done);
    assert_eq!(verdict(200, r#"{"results":[]}"#), Verdict::Done);
}

#[test]
fn what_may_pass_is_asked_again_and_what_is_gone_feeds_the_breaker() {
    for (status, body) in
        [(500, "oops"), (500, ""), (200, "<html>"), (200, ""), (200, "{\"results\":["), (403, "<html>"), (408, "")]
    {
        assert!(matches!(verdict(status, body), Verdict::Retry(_)), "{status} {body}");
    }
    for status in [502, 503, 504, 520, 522] {
        assert!(matches!(verdict(status, "<html>"), Verdict::Outage(_)), "{status}");
        assert!(matches!(verdict(status, r#"{"error":"upstream"}"#), Verdict::Outage(_)), "{status}");
    }
    assert_eq!(verdict(429, "slow down"), Verdict::Throttled(None));
    assert_eq!(verdict(404, "<html>"), Verdict::Done);
}

#[test]
fn a_retry_reason_never_shows_a_url() {
    let Verdict::Retry(reason) = verdict(200, "<a href='https://kodik.test/list?token=marker'>moved</a>") else {
        panic!()
    };
    assert!(!reason.contains("marker") && !reason.contains("://"), "{reason}");
}
