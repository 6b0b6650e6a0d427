//! The sandbox over real sockets: paging, errors, GraphQL, limits, faults and the request log, as any client sees them.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail by panicking, as tests do")]

use std::collections::{BTreeMap, BTreeSet};

use parser::sandbox::{FaultProfile, LoggedRequest, Sandbox, SandboxOptions, Service, Titles};
use reqwest::{Client, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// JSON bodies: the product's client does not bring its own.
trait Json {
    async fn json<T: DeserializeOwned>(self) -> Result<T, serde_json::Error>;
}

impl Json for Response {
    async fn json<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes().await.unwrap())
    }
}

/// A sandbox and a client that follows no redirects.
struct Bench {
    sandbox: Sandbox,
    client: Client,
}

impl Bench {
    fn start(options: &SandboxOptions) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent("sandbox-tests")
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { sandbox: Sandbox::start(options).unwrap(), client }
    }

    fn fixture() -> Self {
        Self::start(&SandboxOptions::default())
    }

    fn generated(titles: u64) -> Self {
        Self::start(&SandboxOptions { titles: Titles::Generated { titles, seed: 7 }, ..SandboxOptions::default() })
    }

    fn faulty(faults: FaultProfile) -> Self {
        Self::start(&SandboxOptions { faults, ..SandboxOptions::default() })
    }

    async fn kodik(&self, path: &str) -> reqwest::Result<Response> {
        self.client.get(format!("{}{path}", self.sandbox.kodik_url())).send().await
    }

    async fn kodik_json(&self, path: &str) -> Value {
        self.kodik(path).await.unwrap().json().await.unwrap()
    }

    async fn shikimori(&self, path: &str) -> reqwest::Result<Response> {
        self.client.get(format!("{}{path}", self.sandbox.shikimori_url())).send().await
    }

    async fn shikimori_json(&self, path: &str) -> Value {
        self.shikimori(path).await.unwrap().json().await.unwrap()
    }

    async fn graphql(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let request = self.client.post(format!("{}/graphql", self.sandbox.shikimori_url()));
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn control(&self, path: &str, body: Value) -> StatusCode {
        let url = format!("{}/__sandbox/{path}", self.sandbox.kodik_url());
        self.client.post(url).body(body.to_string()).send().await.unwrap().status()
    }

    /// All ids of a listing, following `next_page` by its decoded cursor, and whether a padded cursor was met.
    async fn walk(&self, query: &str) -> (Vec<String>, bool) {
        let (mut ids, mut padded, mut cursor) = (Vec::new(), false, None::<String>);
        loop {
            let mut url = Url::parse(&format!("{}/list?token=t&{query}", self.sandbox.kodik_url())).unwrap();
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("next", cursor);
            }
            let page: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
            ids.extend(page["results"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_page"].as_str() else { return (ids, padded) };
            let next = Url::parse(next).unwrap();
            assert_eq!(next.origin(), Url::parse(&self.sandbox.kodik_url()).unwrap().origin());
            let pairs: BTreeMap<_, _> = next.query_pairs().into_owned().collect();
            assert_eq!(pairs["token"], "t", "every parameter is repeated, the token too");
            padded |= pairs["next"].ends_with('=');
            assert_ne!(cursor.as_ref(), Some(&pairs["next"]), "a cursor never repeats");
            cursor = Some(pairs["next"].clone());
        }
    }
}

#[tokio::test]
async fn paging_gives_each_material_once_in_both_orders_and_every_sort() {
    let bench = Bench::fixture();
    let total = bench.kodik_json("/list?token=t&limit=1").await["total"].as_u64().unwrap();
    let mut padded_seen = false;
    for sort in ["updated_at", "created_at", "year", "shikimori_rating"] {
        let (down, padded) = bench.walk(&format!("limit=7&sort={sort}")).await;
        let (mut up, _) = bench.walk(&format!("limit=100&sort={sort}&order=asc")).await;
        padded_seen |= padded;
        assert_eq!(down.iter().collect::<BTreeSet<_>>().len(), down.len(), "{sort}: nothing twice");
        assert_eq!(down.len() as u64, total, "{sort}: nothing missing");
        up.reverse();
        assert_eq!(up, down, "{sort}");
    }
    assert!(padded_seen, "cursors with padding occur");
}

#[tokio::test]
async fn generated_paging_gives_each_material_once() {
    let bench = Bench::generated(333);
    let (up, _) = bench.walk("limit=100&order=asc&types=anime,anime-serial").await;
    let (mut down, _) = bench.walk("limit=100&order=desc&with_material_data=true").await;
    assert_eq!(up.iter().collect::<BTreeSet<_>>().len(), up.len());
    down.reverse();
    assert_eq!(up, down);
    assert!((950..1050).contains(&up.len()), "about three materials a title: {}", up.len());
    let (films, _) = bench.walk("limit=100&types=anime").await;
    assert!(films.iter().all(|id| id.starts_with("movie-")) && !films.is_empty());
}

#[tokio::test]
async fn a_page_leads_back_to_the_one_before() {
    let bench = Bench::fixture();
    let first = bench.kodik_json("/list?token=t&limit=10").await;
    assert_eq!(first["prev_page"], Value::Null);
    let follow = async |link: &Value| {
        let answer = bench.client.get(link.as_str().unwrap()).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let second = follow(&first["next_page"]).await;
    let back = follow(&second["prev_page"]).await;
    assert_eq!(back["results"], first["results"]);
}

#[tokio::test]
async fn kodik_errors_are_500_with_json() {
    let bench = Bench::start(&SandboxOptions { token: Some("good".to_owned()), ..SandboxOptions::default() });
    for (path, message) in [
        ("/list", "Отсутствует или неверный токен"),
        ("/list?token=other", "Отсутствует или неверный токен"),
        ("/search?token=good", "Не указан хотя бы один параметр для поиска"),
        ("/list?token=good&types=anime-movie", "Неправильный тип"),
        ("/list?token=good&next=rubbish", "Неправильный параметр next"),
    ] {
        let answer = bench.kodik(path).await.unwrap();
        assert_eq!(answer.status(), 500, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], message, "{path}");
    }
    let url = format!("{}/list?token=good", bench.sandbox.kodik_url());
    assert_eq!(bench.client.head(&url).send().await.unwrap().status(), 500);
    let json_body =
        bench.client.post(format!("{}/list", bench.sandbox.kodik_url())).header("content-type", "application/json");
    assert_eq!(json_body.body(r#"{"token":"good"}"#).send().await.unwrap().status(), 500, "JSON bodies are not read");
    let form = bench.client.post(format!("{}/list", bench.sandbox.kodik_url()));
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("token=good&limit=2");
    let page: Value = form.send().await.unwrap().json().await.unwrap();
    assert_eq!(page["results"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_shape_of_a_material_follows_the_request() {
    let bench = Bench::fixture();
    let first = async |extra: &str| {
        bench.kodik_json(&format!("/search?token=t&shikimori_id=9001{extra}")).await["results"][0].clone()
    };
    let bare = first("").await;
    assert!(bare.get("seasons").is_none() && bare.get("material_data").is_none());
    assert_eq!(bare["shikimori_id"], "9001");
    assert!(first("&with_seasons=true").await["seasons"]["1"].get("episodes").is_none());
    let link = first("&with_episodes=true").await["seasons"]["1"]["episodes"]["12"].clone();
    assert!(link.as_str().unwrap().starts_with("//kodikplayer.com/seria/"));
    let data = first("&with_episodes_data=true").await;
    assert_eq!(data["seasons"]["1"]["episodes"]["12"]["link"], link);
    assert!(first("&with_material_data=true").await["material_data"].get("shikimori_id").is_none());
}

#[tokio::test]
async fn quirks_reach_the_wire() {
    let bench = Bench::fixture();
    let all = async |id: u32| {
        let path = format!("/search?token=t&limit=100&with_episodes=true&with_material_data=true&shikimori_id={id}");
        bench.kodik_json(&path).await["results"].as_array().unwrap().clone()
    };
    assert_eq!(all(9301).await.len(), 33);
    assert!(all(9104).await[0]["seasons"].get("4").is_some() && all(9104).await[0]["last_season"] == 4);
    assert_eq!(all(9114).await[0]["seasons"]["1"]["episodes"].as_object().unwrap().len(), 13);
    assert!(all(9114).await[0]["seasons"]["1"]["episodes"].get("1-2").is_some());
    assert!(all(9105).await[0]["seasons"]["0"].get("title").is_some());
    assert_eq!(all(9303).await[0]["seasons"]["1"]["episodes"].as_object().unwrap().len(), 135);
    assert_eq!(all(9012).await[1]["blocked_seasons"], "all");
    assert_eq!(all(9112).await[1]["blocked_seasons"], json!({ "2": "all" }));
    assert_eq!(all(9001).await[0]["blocked_seasons"], json!({}));
    assert!(all(9201).await[0].get("seasons").is_none() && all(9201).await[0].get("blocked_seasons").is_none());
    assert!(all(9310).await[0].get("translation").is_none());
    assert_eq!(all(9103).await[0]["material_data"]["year"], 2015);
    assert!(all(9305).await[0].get("material_data").is_none());
    assert_eq!(all(9201).await[0]["material_data"]["kinopoisk_rating"].to_string(), "9");
    assert_eq!(
        all(9111).await[0]["material_data"]["anime_description"],
        "Маг , ранее скрывавшийся в тени, выходит под луну."
    );
    assert_eq!(all(9309).await[0]["year"], "2025");
    assert_eq!(all(9311).await.len(), 1, "the other material has no shikimori_id");
    let orphans = bench.kodik_json("/search?token=t&title=Mumei").await;
    assert_eq!(orphans["total"], 2);
}

#[tokio::test]
async fn reference_lists_have_their_shapes() {
    let bench = Bench::fixture();
    let v1 = bench.kodik_json("/translations?token=t").await;
    assert!(v1[0].get("type").is_some());
    let v2 = bench.kodik_json("/translations/v2?token=t").await;
    assert!(v2["results"][0].get("count").is_some() && v2["results"][0].get("type").is_none());
    for path in ["/genres", "/countries", "/qualities/v2"] {
        assert!(bench.kodik_json(&format!("{path}?token=t")).await["results"][0]["title"].is_string(), "{path}");
    }
    assert!(bench.kodik_json("/years?token=t").await["results"][0]["year"].is_u64());
    assert!(bench.kodik_json("/qualities?token=t").await[0]["title"].is_string());
}

#[tokio::test]
async fn graphql_answers_exactly_what_was_asked() {
    let bench = Bench::fixture();
    let query = "query($ids: String!) { animes(ids: $ids, limit: 50, order: id, censored: false) {
        id label: name score airedOn { year month date } poster { originalUrl } genres { kind } english } }";
    let answer = bench.graphql(query, json!({ "ids": "9001,9312,9314,9401,9402,9403" })).await;
    let list = answer["data"]["animes"].as_array().unwrap();
    let ids: Vec<_> = list.iter().map(|anime| anime["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["9001", "9312", "9314", "9403"], "refused titles are not listed");
    assert_eq!(list[0].as_object().unwrap().len(), 7);
    assert_eq!(list[0]["label"], "Hoshifuru Machi no Tegami");
    assert_eq!(list[0]["airedOn"], json!({ "year": 2019, "month": 4, "date": "2019-04-05" }));
    assert_eq!(list[1]["airedOn"], json!({ "year": null, "month": 4, "date": null }));
    assert_eq!(list[2]["poster"], Value::Null);
    let hidden = bench.graphql("{ animes(ids: \"9403\") { id } }", Value::Null).await;
    assert_eq!(hidden["data"]["animes"], json!([]), "adult titles hide by default");
    let logged = bench.sandbox.log().entries();
    assert!(logged[0].query.contains("ids=9001,9312"), "{}", logged[0].query);
}

#[tokio::test]
async fn graphql_refuses_what_the_schema_or_its_limits_forbid() {
    let bench = Bench::fixture();
    for (query, part) in [
        ("{ animes { nope } }", "Field 'nope' doesn't exist on type 'Anime'"),
        ("{ animes(wrong: 1) { id } }", "doesn't accept argument 'wrong'"),
        ("{ animes(limit: 51) { id } }", "limit"),
        ("{ animes { related { anime { related { anime { id } } } } } }", "max depth"),
        (
            "{ animes { poster { id } a: characterRoles { id } b: personRoles { id } c: related { id } d: videos { id } e: screenshots { id } f: externalLinks { id } g: characterRoles { id } h: personRoles { id } i: related { id } j: videos { id } k: screenshots { id } l: related { id } m: videos { id } n: screenshots { id } o: related { id } p: videos { id } q: screenshots { id } } }",
            "complexity",
        ),
        ("{ animes { poster } }", "must have selections"),
        ("{ animes {", "Parse error"),
    ] {
        let answer = bench.graphql(query, Value::Null).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{query}: {answer}");
    }
}

#[tokio::test]
async fn shikimori_rest_has_its_shapes_and_errors() {
    let bench = Bench::fixture();
    let anime = bench.shikimori_json("/animes/z9313-fuuin").await;
    assert_eq!(anime["id"], 9313);
    assert_eq!(anime["url"], "/animes/z9313-fuuin-sareta-na");
    assert_eq!(anime["score"], "8.45");
    assert!(anime["updated_at"].as_str().unwrap().ends_with("+03:00"));
    let bare = bench.shikimori_json("/animes/9305").await;
    assert_eq!((&bare["english"], &bare["japanese"], &bare["russian"]), (&json!([null]), &json!([null]), &json!("")));
    assert!(bare["image"]["original"].as_str().unwrap().contains("missing_original"));
    assert_eq!(bare["description_html"], "<div class=\"b-text_with_paragraphs\"></div>");
    assert_eq!(bench.shikimori_json("/animes/9312").await["aired_on"], "1901-04-05");
    assert_eq!(bench.shikimori_json("/animes").await.as_array().unwrap().len(), 1, "no limit means one");
    assert_eq!(bench.shikimori_json("/animes?limit=500").await.as_array().unwrap().len(), 50);
    let roles = bench.shikimori_json("/animes/9319/roles").await;
    assert_eq!((&roles[1]["character"], &roles[1]["person"]), (&Value::Null, &Value::Null));
    for part in ["similar", "related", "screenshots", "videos", "external_links"] {
        assert!(bench.shikimori_json(&format!("/animes/9104/{part}")).await.is_array(), "{part}");
    }
    assert_eq!(bench.shikimori_json("/animes/9104/franchise").await["current_id"], 9104);

    let missing = bench.shikimori("/animes/9401").await.unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.json::<Value>().await.unwrap(), json!({ "message": "Страница не найдена", "code": 404 }));
    let restricted = bench.shikimori("/animes/9402").await.unwrap();
    assert_eq!(restricted.status(), 451);
    assert_eq!(restricted.text().await.unwrap(), "age_restricted");
    let nameless = Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/animes/9001", bench.sandbox.shikimori_url());
    assert_eq!(nameless.get(url).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn limits_answer_429_and_the_log_knows_the_rate() {
    let bench = Bench::start(&SandboxOptions { limits: true, ..SandboxOptions::default() });
    let mut refused = 0;
    for _ in 0..40 {
        let answer = bench.shikimori("/animes/9001").await.unwrap();
        if answer.status() == 429 {
            refused += 1;
            assert!(!answer.headers().contains_key("retry-after"));
            assert_eq!(answer.headers()["content-type"], "text/plain");
            assert_eq!(answer.text().await.unwrap(), "Retry later\n");
        }
    }
    let entries = bench.sandbox.log().entries();
    let mut passed: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.status == 200) {
        *passed.entry(entry.at_ms / 1000).or_default() += 1;
    }
    assert!(refused > 0 && passed.values().all(|count| *count <= 5), "{passed:?}");
    let rates = bench.sandbox.log().rates(Service::Shikimori);
    assert_eq!((rates.requests, rates.refused), (40, refused));
    assert!(rates.max_clock_second > 5);

    let mut last = None;
    for _ in 0..40 {
        last = Some(bench.kodik("/list?token=t&limit=1").await.unwrap());
    }
    let last = last.unwrap();
    assert_eq!(last.status(), 429);
    assert_eq!(last.headers()["retry-after"], "1");
}

#[tokio::test]
async fn faults_do_what_their_names_say() {
    let bench = Bench::fixture();
    let list = "/list?token=t&limit=100&with_episodes=true";
    let profile = |profile| bench.sandbox.set_faults(profile);

    profile(FaultProfile::BadToken);
    assert_eq!(bench.kodik(list).await.unwrap().status(), 500);
    profile(FaultProfile::Truncated);
    let mut cut = 0;
    for _ in 0..3 {
        let body = match bench.kodik(list).await {
            Ok(answer) => answer.bytes().await,
            Err(error) => Err(error),
        };
        cut += usize::from(body.is_err());
    }
    assert_eq!(cut, 1);
    profile(FaultProfile::ForeignNext);
    let next = bench.kodik_json(list).await["next_page"].as_str().unwrap().to_owned();
    assert_eq!(Url::parse(&next).unwrap().host_str(), Some("kodik.foreign.invalid"));
    profile(FaultProfile::RepeatingCursor);
    let first = bench.kodik_json("/list?token=t&limit=1&order=asc").await["next_page"].clone();
    let again: Value = bench.client.get(first.as_str().unwrap()).send().await.unwrap().json().await.unwrap();
    assert!(again["next_page"].is_string());
    profile(FaultProfile::HugeBody);
    let mut huge = bench.kodik(list).await.unwrap();
    assert!(huge.chunk().await.unwrap().is_some());
    profile(FaultProfile::GzipBomb);
    let mut bomb = bench.kodik(list).await.unwrap();
    let mut unpacked = 0;
    while unpacked < 2_000_000 {
        unpacked += bomb.chunk().await.unwrap().unwrap().len();
    }
    profile(FaultProfile::DeepJson);
    assert!(bench.kodik(list).await.unwrap().json::<Value>().await.is_err());
    profile(FaultProfile::Html);
    let html = bench.kodik(list).await.unwrap();
    assert_eq!(html.status(), 200);
    assert!(html.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    profile(FaultProfile::Moved);
    let moved = bench.kodik("/list?token=secret&limit=1").await.unwrap();
    assert_eq!(moved.status(), 301);
    assert!(!moved.headers()["location"].to_str().unwrap().contains("secret"));
    profile(FaultProfile::GraphqlDown);
    assert_eq!(bench.graphql("{ animes { id } }", Value::Null).await["code"], 503);
    assert_eq!(bench.shikimori("/animes/9001").await.unwrap().status(), 200);
}

#[tokio::test]
async fn flaky_and_storms_let_most_requests_pass() {
    for (profile, least) in [(FaultProfile::Flaky, 60), (FaultProfile::RateLimited, 80)] {
        let bench = Bench::faulty(profile);
        let mut passed = 0;
        for _ in 0..100 {
            if let Ok(answer) = bench.kodik("/list?token=t&limit=1").await
                && answer.status() == 200
                && answer.bytes().await.is_ok()
            {
                passed += 1;
            }
        }
        assert!((least..100).contains(&passed), "{profile}: {passed}");
    }
}

#[tokio::test]
async fn controls_switch_a_running_sandbox() {
    let bench = Bench::fixture();
    let list = "/list?token=t&limit=1";
    assert_eq!(bench.control("faults", json!({ "down": ["kodik"] })).await, 200);
    assert!(bench.kodik(list).await.is_err(), "down: closed without an answer");
    assert_eq!(bench.shikimori("/animes/9001").await.unwrap().status(), 200);
    assert_eq!(bench.control("faults", json!({ "down": [], "revoked": true })).await, 200);
    assert_eq!(bench.kodik(list).await.unwrap().status(), 500);
    assert_eq!(bench.control("faults", json!({ "revoked": false, "profile": "html" })).await, 200);
    assert_eq!(bench.kodik(list).await.unwrap().headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(bench.control("faults", json!({ "profile": "none" })).await, 200);
    assert_eq!(bench.control("faults", json!({ "profile": "nonsense" })).await, 400);
    assert_eq!(bench.control("touch?id=9001", Value::Null).await, 200);
    let newest = &bench.kodik_json("/list?token=t&limit=1&with_episodes=true").await["results"][0];
    assert_eq!((&newest["shikimori_id"], &newest["last_episode"]), (&json!("9001"), &json!(13)));
}

#[tokio::test]
async fn every_request_is_logged_without_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.jsonl");
    let bench = Bench::start(&SandboxOptions { request_log: Some(file.clone()), ..SandboxOptions::default() });
    bench.kodik("/list?token=marker-token&limit=3").await.unwrap();
    bench.shikimori("/animes/9401").await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("marker-token"));
    let lines: Vec<LoggedRequest> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, bench.sandbox.log().entries());
    assert_eq!((lines[0].service, lines[0].query.as_str(), lines[0].status), (Service::Kodik, "limit=3", 200));
    assert_eq!((lines[1].path.as_str(), lines[1].status), ("/api/animes/9401", 404));
    let url = format!("{}/__sandbox/log", bench.sandbox.kodik_url());
    let remote: Vec<LoggedRequest> = bench.client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(remote, lines);
    let kodik = bench.sandbox.kodik_url();
    bench.sandbox.stop();
    assert!(bench.client.get(format!("{kodik}/list?token=t")).send().await.is_err(), "stopped");
}
