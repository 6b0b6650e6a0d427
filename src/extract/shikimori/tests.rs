//! Shikimori's answers, judged without a network.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::graphql::{QUERY, known};
use super::rest::judge;
use super::{Fetched, classify, message_of, normalise_base};
use crate::error::Fault;
use crate::extract::ExtractError;
use crate::http::{Response, Verdict};
use crate::model::raw::shikimori::{GraphAnime, GraphDate};
use crate::model::{SeriesId, SkipReason};

fn response(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    Response { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
}

fn verdict(status: u16, body: &str) -> Verdict {
    classify(&response(status, body))
}

#[test]
fn the_base_ends_in_api_however_it_is_written() {
    for (given, expected) in [
        ("https://shikimori.test", "https://shikimori.test/api"),
        ("https://shikimori.test/", "https://shikimori.test/api"),
        ("https://shikimori.test/api", "https://shikimori.test/api"),
        ("https://shikimori.test/api/", "https://shikimori.test/api"),
        ("https://shikimori.test/api/graphql?x=1", "https://shikimori.test/api"),
        ("http://127.0.0.1:8080/mirror/", "http://127.0.0.1:8080/mirror/api"),
    ] {
        assert_eq!(normalise_base(Url::parse(given).expect("a URL")).as_str(), expected, "{given}");
    }
}

#[test]
fn quirk_25_answers_are_judged_by_status_and_body() {
    assert_eq!(verdict(429, "Retry later\n"), Verdict::Throttled(None));
    let bug = r#"{"code":503,"exception":"NoMethodError","message":"undefined method"}"#;
    assert_eq!(verdict(503, bug), Verdict::Retry("HTTP 503: NoMethodError: undefined method".to_owned()));
    for status in [502, 503, 504, 520] {
        assert!(matches!(verdict(status, "<html>"), Verdict::Outage(_)), "{status}");
    }
    for (status, body) in [(200, "<html>DDoS-Guard</html>"), (403, "<html>DDoS-Guard</html>"), (200, ""), (500, "{}")] {
        assert!(matches!(verdict(status, body), Verdict::Retry(_)), "{status} {body}");
    }
    for (status, body) in
        [(200, "{}"), (403, r#"{"code":403}"#), (404, r#"{"code":404}"#), (451, "rkn_banned"), (422, "[]")]
    {
        assert_eq!(verdict(status, body), Verdict::Done, "{status} {body}");
    }
}

#[test]
fn quirk_24_hidden_titles_say_why() {
    let absent = |status, body: &str| match judge(response(status, body)) {
        Ok(Fetched::Absent(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(absent(404, r#"{"message":"Страница не найдена","code":404}"#), SkipReason::NotFound);
    assert_eq!(absent(451, "age_restricted"), SkipReason::AgeRestricted);
    assert_eq!(absent(451, "rkn_banned"), SkipReason::Banned);
    assert_eq!(absent(451, "something else"), SkipReason::Banned);
}

#[test]
fn a_404_page_is_a_wrong_base_url_and_not_a_missing_title() {
    let error = judge(response(404, "<html>nginx</html>")).expect_err("an error");
    assert!(matches!(error, ExtractError::NotJson { status: 404, .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("SHIKIMORI_BASE_URL")));
}

#[test]
fn a_refusal_in_json_hints_at_the_user_agent() {
    let error = judge(response(403, r#"{"message":"Forbidden","code":403}"#)).expect_err("an error");
    assert!(error.hint().is_some_and(|hint| hint.contains("User-Agent")), "{error}");
    assert!(!error.is_fatal(), "one title may be hidden without the client being banned");
}

#[test]
fn a_batch_keeps_the_asked_titles_and_tolerates_errors_beside_them() {
    let ids = [SeriesId(1), SeriesId(2), SeriesId(3)];
    let body = Bytes::from(
        r#"{"data":{"animes":[{"id":"1","name":"A"},null,5,{"name":"x"},{"id":3,"name":"C"},{"id":"9"}]},"errors":[{"message":"one failed"}]}"#,
    );
    let known = known(&body, &ids).expect("data");
    assert_eq!(known.len(), 2);
    assert_eq!(&known[&SeriesId(1)][..], br#"{"id":"1","name":"A"}"#);
    assert!(known.contains_key(&SeriesId(3)));
}

#[test]
fn errors_without_data_fail_the_batch_with_the_services_words() {
    for body in [r#"{"errors":[{"message":"bad query"}]}"#, r#"{"data":null,"errors":[{"message":"bad query"}]}"#] {
        let error = known(&Bytes::from(body), &[SeriesId(1)]).expect_err("an error");
        assert!(error.to_string().contains("bad query") && !error.is_fatal(), "{error}");
    }
    assert!(known(&Bytes::from("{\"data\":"), &[]).is_err());
}

#[test]
fn error_bodies_of_every_shape_are_quoted() {
    for body in [
        r#"{"message":"why"}"#,
        r#"["why"]"#,
        r#"{"errors":["why"]}"#,
        r#"{"errors":[{"exception":"E","message":"why"}]}"#,
        "why",
    ] {
        assert_eq!(message_of(body.as_bytes()), "why", "{body}");
    }
}

#[test]
fn the_query_asks_for_every_field_of_the_model() {
    let anime = GraphAnime { aired_on: Some(GraphDate::default()), ..GraphAnime::default() };
    let value = serde_json::to_value(anime).expect("a value");
    let fields = value.as_object().expect("an object").keys();
    let dates = value["airedOn"].as_object().expect("an object").keys();
    let asked: Vec<&str> = QUERY.split_whitespace().collect();
    for field in fields.chain(dates) {
        assert!(asked.contains(&field.as_str()), "{field} is in the model and not in the query");
    }
}
