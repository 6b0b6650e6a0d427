//! Both sources over real HTTP: what is sent, what is asked again, what stops the run.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use parser::error::{Fault, Severity};
use parser::extract::shikimori::{self, normalise_base};
use parser::extract::{
    Cursor, Drift, ExtractError, Fetched, Kodik, KodikOptions, Order, RepeatGuard, Shikimori, ShikimoriOptions, kodik,
};
use parser::http::{Breaker, HttpError, Profile, Response, Retry, Service, Timeouts, Verdict};
use parser::model::{SeriesId, SkipReason};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::{body_partial_json, header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const TOKEN: &str = "secret-marker-token";

fn service(name: &'static str, base_url: Url, classify: fn(&Response) -> Verdict) -> Service {
    let (short, long) = (Duration::from_millis(1), Duration::from_mins(1));
    let profile = Profile {
        name,
        base_url,
        user_agent: "parser-tests/1".to_owned(),
        windows: Vec::new(),
        permits: 4,
        timeouts: Timeouts { connect: long, headers: long, total: long },
        retry: Retry {
            max_attempts: 3,
            max_throttled: 3,
            base: short,
            floor: short,
            ceiling: short,
            max_elapsed: long,
        },
        breaker: Breaker { threshold: 3, cooldown: short, max_cooldown: short, give_up_after: short },
        max_body: 1 << 20,
        classify,
    };
    Service::new(profile, None).unwrap()
}

fn kodik_at(server: &MockServer, options: KodikOptions) -> Kodik {
    let service = service("kodik", server.uri().parse().unwrap(), kodik::classify);
    Kodik::new(service, SecretString::from(TOKEN), options, Drift::default())
}

fn shikimori_at(server: &MockServer) -> Shikimori {
    let base = normalise_base(server.uri().parse().unwrap());
    Shikimori::new(service("shikimori", base, shikimori::classify), ShikimoriOptions::default())
}

fn page(next_page: &Value, ids: &[&str]) -> ResponseTemplate {
    let results: Vec<_> = ids.iter().map(|id| json!({"id": id, "shikimori_id": "20"})).collect();
    ResponseTemplate::new(200).set_body_json(
        json!({"time": "2ms", "total": 3, "prev_page": null, "next_page": next_page, "results": results}),
    )
}

fn titles(ids: impl IntoIterator<Item = u64>) -> Vec<SeriesId> {
    ids.into_iter().map(SeriesId).collect()
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

#[tokio::test]
async fn a_list_request_carries_every_parameter() {
    let server = MockServer::start().await;
    let list = |order: &str, episodes: &str| {
        Mock::given(method("GET"))
            .and(path("/list"))
            .and(query_param("token", TOKEN))
            .and(query_param("types", "anime,anime-serial"))
            .and(query_param("limit", "100"))
            .and(query_param("sort", "updated_at"))
            .and(query_param("order", order))
            .and(query_param("with_material_data", "true"))
            .and(query_param(episodes, "true"))
            .and(query_param_is_missing("next"))
            .respond_with(page(&Value::Null, &["serial-1"]))
            .expect(1)
    };
    list("asc", "with_episodes").mount(&server).await;
    list("desc", "with_episodes_data").mount(&server).await;
    let plain = kodik_at(&server, KodikOptions::default());
    let first = plain.list_page(None, Order::OldestFirst).await.unwrap();
    assert_eq!((first.total, first.materials.len(), first.next), (Some(3), 1, None));
    let titled = kodik_at(&server, KodikOptions { with_titles: true, ..KodikOptions::default() });
    titled.list_page(None, Order::NewestFirst).await.unwrap();
    assert!(!format!("{plain:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_listing_is_followed_by_its_decoded_cursor() {
    let server = MockServer::start().await;
    let next = format!("{}/list?token={TOKEN}&limit=100&next=WzEsInMtMSJd%3D%3D", server.uri());
    Mock::given(query_param("next", "WzEsInMtMSJd=="))
        .respond_with(page(&Value::Null, &["serial-2"]))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(query_param_is_missing("next"))
        .respond_with(page(&json!(next), &["serial-1"]))
        .expect(1)
        .mount(&server)
        .await;
    let kodik = kodik_at(&server, KodikOptions::default());
    let first = kodik.list_page(None, Order::OldestFirst).await.unwrap();
    // As a checkpoint would keep it.
    let saved = serde_json::to_string(&first.next).unwrap();
    assert_eq!(saved, r#""WzEsInMtMSJd==""#);
    let cursor: Cursor = serde_json::from_str(&saved).unwrap();
    let second = kodik.list_page(Some(&cursor), Order::OldestFirst).await.unwrap();
    assert_eq!((second.materials[0].id.0.as_str(), second.next), ("serial-2", None));
}

#[tokio::test]
async fn a_refused_token_ends_at_once_whatever_the_status() {
    for status in [500, 200, 401, 403] {
        let server = MockServer::start().await;
        let refusal = json!({"error": format!("Отсутствует или неверный токен {TOKEN} https://x.test/?token={TOKEN}")});
        Mock::given(path("/list"))
            .respond_with(ResponseTemplate::new(status).set_body_json(refusal))
            .mount(&server)
            .await;
        let kodik = kodik_at(&server, KodikOptions::default());
        let error = kodik.list_page(None, Order::OldestFirst).await.unwrap_err();
        assert!(matches!(error, ExtractError::BadToken { .. }), "{status}: {error:?}");
        assert!(error.is_fatal() && error.severity() == Severity::Permanent);
        assert!(error.hint().unwrap().contains("KODIK_API_TOKEN"));
        let text = format!("{error} {error:?}");
        assert!(!text.contains(TOKEN) && !text.contains("://"), "{text}");
        assert_eq!(requests(&server).await.len(), 1, "{status} was asked again");
    }
}

#[tokio::test]
async fn another_refusal_is_final_too_and_may_be_the_cursors_fault() {
    let server = MockServer::start().await;
    let refusal = ResponseTemplate::new(500).set_body_json(json!({"error": "Неправильный next"}));
    Mock::given(path("/list")).respond_with(refusal).mount(&server).await;
    let kodik = kodik_at(&server, KodikOptions::default());
    let with = kodik.list_page(Some(&Cursor::new("old")), Order::OldestFirst).await.unwrap_err();
    let without = kodik.list_page(None, Order::OldestFirst).await.unwrap_err();
    assert!(with.is_bad_cursor() && !without.is_bad_cursor(), "{with:?} {without:?}");
    assert!(!with.is_fatal() && with.to_string().contains("Неправильный next"));
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn a_foreign_next_page_is_not_followed() {
    let server = MockServer::start().await;
    let next = format!("https://evil.test/list?token={TOKEN}&next=abc");
    Mock::given(path("/list")).respond_with(page(&json!(next), &["serial-1"])).mount(&server).await;
    let error = kodik_at(&server, KodikOptions::default()).list_page(None, Order::OldestFirst).await.unwrap_err();
    assert!(matches!(&error, ExtractError::ForeignNextPage { host } if host == "evil.test"), "{error:?}");
    assert!(error.is_fatal() && !format!("{error:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_listing_that_goes_round_in_circles_is_stopped() {
    let server = MockServer::start().await;
    let to = |cursor: &str| json!(format!("{}/list?next={cursor}", server.uri()));
    Mock::given(query_param("next", "a")).respond_with(page(&to("b"), &[])).mount(&server).await;
    Mock::given(query_param("next", "b")).respond_with(page(&to("a"), &[])).mount(&server).await;
    Mock::given(query_param_is_missing("next")).respond_with(page(&to("a"), &[])).mount(&server).await;
    let kodik = kodik_at(&server, KodikOptions::default());
    let mut guard = RepeatGuard::default();
    let mut cursor = None;
    let error = loop {
        let page = kodik.list_page(cursor.as_ref(), Order::OldestFirst).await.unwrap();
        let next = page.next.unwrap();
        if let Err(error) = guard.check(&next) {
            break error;
        }
        cursor = Some(next);
    };
    assert!(matches!(error, ExtractError::RepeatingCursor { pages: 2 }), "{error:?}");
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn an_html_page_is_asked_again() {
    let server = MockServer::start().await;
    let html = ResponseTemplate::new(200).set_body_string(format!("<html>{TOKEN} checking your browser"));
    Mock::given(path("/list")).respond_with(html).up_to_n_times(1).mount(&server).await;
    Mock::given(path("/list")).respond_with(page(&Value::Null, &["serial-1"])).mount(&server).await;
    let kodik = kodik_at(&server, KodikOptions::default());
    assert_eq!(kodik.list_page(None, Order::OldestFirst).await.unwrap().materials.len(), 1);
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn a_truncated_answer_is_asked_again_and_given_up() {
    let server = MockServer::start().await;
    Mock::given(path("/list"))
        .respond_with(ResponseTemplate::new(200).set_body_string("{\"results\":[{"))
        .mount(&server)
        .await;
    let error = kodik_at(&server, KodikOptions::default()).list_page(None, Order::OldestFirst).await.unwrap_err();
    assert!(matches!(error, ExtractError::Http(HttpError::Exhausted { attempts: 3, .. })), "{error:?}");
    assert!(error.to_string().contains("cut JSON") && error.severity() == Severity::Transient);
}

#[tokio::test]
async fn a_search_asks_for_one_title() {
    let server = MockServer::start().await;
    Mock::given(path("/search"))
        .and(query_param("shikimori_id", "20"))
        .and(query_param("limit", "100"))
        .and(query_param("types", "anime,anime-serial"))
        .and(query_param("with_episodes", "true"))
        .respond_with(page(&Value::Null, &["serial-1", "serial-2", "movie-3"]))
        .expect(1)
        .mount(&server)
        .await;
    let found = kodik_at(&server, KodikOptions::default()).search(SeriesId(20)).await.unwrap();
    assert_eq!((found.materials.len(), found.maybe_truncated), (3, false));
}

#[tokio::test]
async fn translations_are_listed_with_their_raw_answer() {
    let server = MockServer::start().await;
    let answer = json!({"results": [{"id": 610, "title": "Studio", "count": 2}]});
    Mock::given(path("/translations/v2"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
        .mount(&server)
        .await;
    let translations = kodik_at(&server, KodikOptions::default()).translations().await.unwrap();
    assert_eq!((translations.list[0].id, translations.list[0].title.as_str()), (610, "Studio"));
    assert_eq!(serde_json::from_slice::<Value>(&translations.raw).unwrap(), answer);
}

/// Answers a GraphQL request with every asked title that `known` knows.
fn graphql(known: impl Fn(u64) -> bool + Send + Sync + 'static) -> Mock {
    Mock::given(method("POST")).and(path("/api/graphql")).respond_with(move |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let ids = body["variables"]["ids"].as_str().unwrap().to_owned();
        let ids = ids.split(',').map(|id| id.parse::<u64>().unwrap());
        let animes: Vec<_> = ids.filter(|id| known(*id)).map(|id| json!({"id": id.to_string()})).collect();
        ResponseTemplate::new(200).set_body_json(json!({"data": {"animes": animes}}))
    })
}

#[tokio::test]
async fn metadata_costs_one_request_for_fifty_titles() {
    let server = MockServer::start().await;
    graphql(|_| true).expect(3).mount(&server).await;
    let ids = titles(1..=120);
    let fetched = shikimori_at(&server).metadata(&ids).await.unwrap();
    assert_eq!(fetched.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    assert!(fetched.iter().all(|(_, fetched)| matches!(fetched, Fetched::GraphQl(_))));
}

#[tokio::test]
async fn adult_titles_are_asked_for_and_the_client_names_itself() {
    let server = MockServer::start().await;
    graphql(|_| true).expect(1).mount(&server).await;
    shikimori_at(&server).metadata(&titles([1])).await.unwrap();
    let sent = &requests(&server).await[0];
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(body["variables"], json!({"ids": "1", "censored": false}));
    assert_eq!(sent.headers["user-agent"], "parser-tests/1");
    assert_eq!(sent.headers["content-type"], "application/json");
}

#[tokio::test]
async fn titles_missing_from_the_batch_are_asked_for_one_by_one() {
    let server = MockServer::start().await;
    graphql(|id| id == 1).mount(&server).await;
    let rest = |id: u64, answer: ResponseTemplate| {
        Mock::given(path(format!("/api/animes/{id}"))).respond_with(answer).expect(1)
    };
    rest(2, ResponseTemplate::new(404).set_body_json(json!({"message": "Страница не найдена", "code": 404})))
        .mount(&server)
        .await;
    rest(3, ResponseTemplate::new(451).set_body_string("age_restricted")).mount(&server).await;
    rest(4, ResponseTemplate::new(451).set_body_string("rkn_banned")).mount(&server).await;
    rest(5, ResponseTemplate::new(200).set_body_json(json!({"id": 5, "url": "/animes/z5-x"}))).mount(&server).await;
    rest(6, ResponseTemplate::new(422).set_body_json(json!(["no"]))).mount(&server).await;
    let fetched = shikimori_at(&server).metadata(&titles([6, 5, 4, 3, 2, 1])).await.unwrap();
    let [failed, found, banned, aged, gone, known] = &fetched[..] else { panic!("{fetched:?}") };
    assert!(matches!(&failed.1, Fetched::Failed(ExtractError::Refused { status: 422, .. })), "{failed:?}");
    assert!(matches!(&found.1, Fetched::Rest(raw) if raw.starts_with(b"{\"id\":5")), "{found:?}");
    assert!(matches!(banned.1, Fetched::Absent(SkipReason::Banned)));
    assert!(matches!(aged.1, Fetched::Absent(SkipReason::AgeRestricted)));
    assert!(matches!(gone.1, Fetched::Absent(SkipReason::NotFound)));
    assert!(matches!(known.1, Fetched::GraphQl(_)));
}

#[tokio::test]
async fn a_graphql_that_fails_is_replaced_by_rest() {
    let failures = [
        ResponseTemplate::new(500).set_body_json(json!({"errors": [{"exception": "E", "message": "boom"}]})),
        ResponseTemplate::new(503).set_body_json(json!({"code": 503, "exception": "E", "message": "boom"})),
        ResponseTemplate::new(200).set_body_json(json!({"errors": [{"message": "too complex"}]})),
        ResponseTemplate::new(200).set_body_string("<html>DDoS-Guard</html>"),
        ResponseTemplate::new(404).set_body_json(json!({"code": 404})),
    ];
    for failure in failures {
        let server = MockServer::start().await;
        Mock::given(path("/api/graphql")).respond_with(failure).mount(&server).await;
        for id in [1, 2] {
            let answer = ResponseTemplate::new(200).set_body_json(json!({"id": id}));
            Mock::given(path(format!("/api/animes/{id}"))).respond_with(answer).expect(1).mount(&server).await;
        }
        let fetched = shikimori_at(&server).metadata(&titles([1, 2])).await.unwrap();
        assert!(fetched.iter().all(|(_, fetched)| matches!(fetched, Fetched::Rest(_))), "{fetched:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_refused_does_not_go_on_asking() {
    let server = MockServer::start().await;
    let refusal = ResponseTemplate::new(403).set_body_json(json!({"message": "banned", "code": 403}));
    Mock::given(method("POST")).and(header("user-agent", "parser-tests/1")).respond_with(refusal).mount(&server).await;
    let error = shikimori_at(&server).metadata(&titles(1..=50)).await.unwrap_err();
    assert!(matches!(error, ExtractError::Forbidden { status: 403, .. }) && error.is_fatal(), "{error:?}");
    assert!(error.hint().unwrap().contains("User-Agent"));
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_batch_never_stops_for_one_title_and_stops_for_the_service() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(body_partial_json(json!({"variables": {"ids": "1,2"}})))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"data": {"animes": [{"id": "2"}]}})))
        .mount(&server)
        .await;
    let moved = ResponseTemplate::new(301).insert_header("location", "https://elsewhere.test/api/animes/1");
    Mock::given(path("/api/animes/1")).respond_with(moved).mount(&server).await;
    let error = shikimori_at(&server).metadata(&titles([1, 2])).await.unwrap_err();
    assert!(
        matches!(&error, ExtractError::Http(HttpError::Moved { to, .. }) if to.contains("elsewhere.test")),
        "{error:?}"
    );
}

#[tokio::test]
async fn roles_are_a_list_or_an_error() {
    let server = MockServer::start().await;
    let list =
        ResponseTemplate::new(200).set_body_json(json!([{"roles": ["Main"], "character": {"id": 6}, "person": null}]));
    Mock::given(path("/api/animes/1/roles")).respond_with(list).mount(&server).await;
    Mock::given(path("/api/animes/2/roles"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
        .mount(&server)
        .await;
    let shikimori = shikimori_at(&server);
    let raw = shikimori.roles(SeriesId(1)).await.unwrap();
    assert_eq!(shikimori::parse_roles(&raw, &Drift::default()).unwrap().len(), 1);
    assert!(matches!(shikimori.roles(SeriesId(2)).await, Err(ExtractError::Unexpected { .. })));
    assert!(matches!(shikimori.roles(SeriesId(3)).await, Err(ExtractError::NotJson { status: 404, .. })));
}
