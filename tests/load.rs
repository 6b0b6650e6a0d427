//! Loading: one suite of promises run against the embedded catalogue and against a backend that speaks the contract,
//! then what is particular to each, and the dry run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic here and now")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parser::error::{Fault, Party};
use parser::http::{Breaker, Profile, Retry, Service, Timeouts};
use parser::load::contract::{self, Settings};
use parser::load::{Action, Contract, DryRun, Embedded, LoadError, Loader, Preview};
use parser::model::*;
use parser::store::catalogue::{self, TitleKey};
use parser::store::sent::Sent;
use proptest::prelude::*;
use tempfile::TempDir;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const SOURCE: &str = "kodik-shikimori";
const TOKEN: &str = "marker-token-0123456789abcdef-0123";

// ---- records -------------------------------------------------------------------------------------------------------

fn record(id: u64, episodes: u32, translations: &[i64]) -> TitleRecord {
    let numbers = 1..=episodes;
    TitleRecord {
        series: Series {
            id: SeriesId(id),
            title: format!("Hoshi no Michi {id}"),
            alternative_titles: vec!["Звёздный путь".into(), "星の道".into()],
            description: Some("A road of stars.".into()),
            year: Some(2021),
            status: Some(SeriesStatus::Ongoing),
            poster: Some(format!("https://img.test/{id}.jpg")),
            genres: vec!["Drama".into()],
            signals: Signals { kind: Some("tv".into()), score: Some(7.5), ..Signals::default() },
        },
        episodes: numbers
            .clone()
            .map(|number| Episode {
                id: EpisodeId(format!("{id}:{number}")),
                season: 1,
                key: EpisodeKey::Whole(number),
                number,
                title: None,
                class: EpisodeClass::Regular,
            })
            .collect(),
        releases: translations
            .iter()
            .map(|&translation| Release {
                material_id: MaterialId(format!("serial-{id}{translation}")),
                translation: Translation {
                    id: TranslationId(translation),
                    title: format!("Studio {translation}"),
                    kind: TranslationKind::Voice,
                },
                priority: 100 - i32::try_from(translation).unwrap(),
                quality: Some("WEB-DLRip 720p".into()),
                camrip: false,
                episodes,
                blocked_countries: vec![],
                blocked_seasons: vec![],
                updated_at: None,
            })
            .collect(),
        videos: numbers
            .flat_map(|number| translations.iter().map(move |&translation| (number, translation)))
            .map(|(number, translation)| Video {
                episode_id: EpisodeId(format!("{id}:{number}")),
                translation_id: TranslationId(translation),
                url: format!("https://player.test/seria/{id}{number}{translation}/abc/720p"),
                priority: 100 - i32::try_from(translation).unwrap(),
            })
            .collect(),
        characters: None,
        withheld: Withheld::default(),
        origin: MetadataOrigin::ShikimoriGraphql,
    }
}

// ---- a backend that speaks the contract ----------------------------------------------------------------------------

#[derive(Default)]
struct World {
    anime: BTreeMap<String, serde_json::Value>,
    episodes: BTreeMap<String, serde_json::Value>,
    /// (episode, url, player source) → player; never deduplicated, as in the real one.
    videos: Vec<(String, String, serde_json::Value)>,
    /// Paths and bodies in order of arrival.
    requests: Vec<(String, String)>,
    /// Answers to give instead, by a text that the request must hold: (text, times, status, body).
    faults: Vec<(String, u32, u16, String)>,
}

struct Backend(Arc<Mutex<World>>);

fn envelope(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_json(serde_json::json!({"error": {"code": "HTTP_ERROR", "message": message, "trace_id": "trace-1"}}))
}

impl Respond for Backend {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut world = self.0.lock().unwrap();
        let body = String::from_utf8(request.body.clone()).unwrap();
        let path = request.url.path().to_owned();
        world.requests.push((path.clone(), body.clone()));
        if request.headers.get("x-internal-token").map(wiremock::http::HeaderValue::as_bytes) != Some(TOKEN.as_bytes())
        {
            return envelope(403, &format!("Invalid internal token {TOKEN}"));
        }
        assert_eq!(request.headers.get("content-type").unwrap(), "application/json");
        if let Some(fault) = world.faults.iter_mut().find(|fault| fault.1 > 0 && body.contains(&fault.0)) {
            fault.1 -= 1;
            return ResponseTemplate::new(fault.2).set_body_raw(fault.3.clone(), "application/json");
        }
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        let ok = ResponseTemplate::new(200)
            .set_body_json(serde_json::json!({"success": true, "message": "ok", "errors": null}));
        match path.rsplit('/').next().unwrap() {
            "anime" => {
                world.anime.insert(json["source_id"].as_str().unwrap().to_owned(), json);
                ok
            }
            "episodes" => {
                let anime = json["anime_source_id"].as_str().unwrap();
                if !world.anime.contains_key(anime) {
                    return envelope(404, &format!("Anime not found: {SOURCE}/{anime}"));
                }
                let items = json["episodes"].as_array().unwrap().clone();
                assert!(!items.is_empty(), "an empty list was sent");
                let total = items.len();
                for item in items {
                    world.episodes.insert(item["source_episode_id"].as_str().unwrap().to_owned(), item);
                }
                ResponseTemplate::new(200).set_body_json(
                    serde_json::json!({"success": true, "total": total, "imported": total, "errors": []}),
                )
            }
            "video" => {
                let episode = json["source_episode_id"].as_str().unwrap().to_owned();
                if !world.episodes.contains_key(&episode) {
                    return envelope(404, &format!("Episode not found: {SOURCE}/{episode}"));
                }
                let url = json["player"]["url"].as_str().unwrap().to_owned();
                let player = json["player"].clone();
                match world.videos.iter_mut().find(|video| video.0 == episode && video.1 == url) {
                    Some(video) => video.2 = player,
                    None => world.videos.push((episode, url, player)),
                }
                ok
            }
            _ => ResponseTemplate::new(404).set_body_json(serde_json::json!({"detail": "Not Found"})),
        }
    }
}

// ---- subjects of the suite -----------------------------------------------------------------------------------------

struct Subject {
    loader: Loader,
    world: Option<Arc<Mutex<World>>>,
    folder: TempDir,
    server: Option<MockServer>,
}

async fn embedded() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let loader = Embedded::open(&folder.path().join("catalog.db"), SOURCE).await.unwrap();
    Subject { loader: Loader::Embedded(loader), world: None, folder, server: None }
}

fn client(server: &MockServer, sent: &Path, token: &str) -> Contract {
    let profile = Profile {
        name: "backend",
        base_url: server.uri().parse().unwrap(),
        user_agent: "parser-test".into(),
        windows: vec![],
        permits: 4,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            headers: Duration::from_secs(10),
            total: Duration::from_secs(20),
        },
        retry: Retry {
            max_attempts: 3,
            max_throttled: 3,
            base: Duration::from_millis(1),
            floor: Duration::from_millis(1),
            ceiling: Duration::from_millis(2),
            max_elapsed: Duration::from_secs(20),
        },
        breaker: Breaker {
            threshold: 3,
            cooldown: Duration::from_millis(1),
            max_cooldown: Duration::from_millis(2),
            give_up_after: Duration::from_millis(50),
        },
        max_body: 1 << 20,
        classify: contract::classify,
    };
    Contract::new(Settings {
        service: Service::new(profile, None).unwrap(),
        token: token.to_owned().into(),
        source_name: SOURCE.into(),
        concurrency: 4,
        sent: Sent::open(sent).unwrap(),
    })
    .unwrap()
}

async fn over_http() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let server = MockServer::start().await;
    let world = Arc::new(Mutex::new(World::default()));
    Mock::given(any()).respond_with(Backend(Arc::clone(&world))).mount(&server).await;
    let loader = Loader::Contract(Box::new(client(&server, &folder.path().join("sent.db"), TOKEN)));
    Subject { loader, world: Some(world), folder, server: Some(server) }
}

impl Subject {
    async fn load(&self, record: &TitleRecord) -> Outcome {
        self.loader.load(record, None).await.unwrap()
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.as_ref().unwrap().lock().unwrap()
    }

    fn catalogue_file(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    fn fault(&self, text: &str, times: u32, status: u16, body: &str) {
        self.world().faults.push((text.into(), times, status, body.into()));
    }

    /// What the backend has: description, poster, and the links that can be played.
    async fn shown(&self, id: u64) -> (Option<String>, Option<String>, Vec<String>) {
        if let Loader::Embedded(embedded) = &self.loader {
            let key = TitleKey { source_name: SOURCE.into(), source_id: id.to_string() };
            let title = embedded
                .catalogue()
                .store()
                .read(move |session| catalogue::title(session, &key))
                .await
                .unwrap()
                .unwrap();
            let active = title.videos.iter().filter(|video| video.is_active);
            let mut urls: Vec<_> = active.map(|video| video.url.clone()).collect();
            urls.sort();
            return (title.series.series.description, title.series.series.poster, urls);
        }
        let world = self.world();
        let anime = &world.anime[&id.to_string()];
        let text = |name: &str| anime[name].as_str().map(str::to_owned);
        let prefix = format!("{id}:");
        let of_title = world.videos.iter().filter(|video| video.0.starts_with(&prefix));
        let mut urls: Vec<_> = of_title.map(|video| video.1.clone()).collect();
        urls.sort();
        (text("description"), text("poster"), urls)
    }

    fn requests(&self) -> usize {
        self.world.as_ref().map_or(0, |world| world.lock().unwrap().requests.len())
    }
}

/// The promises that every loader keeps.
async fn conforms(subject: Subject) {
    let first = record(7, 3, &[1, 2]);
    let Outcome::Loaded { change: Change::Created, writes } = subject.load(&first).await else { panic!("not created") };
    assert_eq!((writes.series, writes.episodes, writes.videos), (1, 3, 6));
    assert_eq!(subject.shown(7).await.2.len(), 6);

    // Twice changes nothing and says so.
    let requests = subject.requests();
    assert_eq!(subject.load(&first).await, Outcome::Unchanged);
    assert_eq!(subject.requests(), requests);

    // Only what is new is written.
    let more = record(7, 4, &[1, 2]);
    let Outcome::Loaded { change: Change::Updated, writes } = subject.load(&more).await else { panic!("not updated") };
    assert_eq!((writes.series, writes.episodes, writes.videos), (0, 1, 2));
    assert_eq!(subject.load(&more).await, Outcome::Unchanged);

    // Nothing over something: what one answer lacks is not taken away.
    let mut poorer = more.clone();
    poorer.series.description = None;
    poorer.series.poster = None;
    poorer.series.genres = vec![];
    poorer.series.year = Some(2022);
    poorer.origin = MetadataOrigin::ShikimoriRest;
    let Outcome::Loaded { change: Change::Updated, writes } = subject.load(&poorer).await else { panic!("no update") };
    assert_eq!(writes, Writes { series: 1, ..Writes::default() });
    let (description, poster, _) = subject.shown(7).await;
    assert_eq!(description.as_deref(), Some("A road of stars."));
    assert_eq!(poster.as_deref(), Some("https://img.test/7.jpg"));

    // Kodik's own metadata never replace Shikimori's, but new episodes still arrive.
    let mut worse = record(7, 5, &[1, 2]);
    worse.series.title = "Road of Stars (dub)".into();
    worse.series.description = Some("маг , ранее".into());
    worse.origin = MetadataOrigin::MaterialData;
    let Outcome::Loaded { change: Change::Updated, writes } = subject.load(&worse).await else { panic!("no update") };
    assert_eq!((writes.series, writes.episodes, writes.videos), (0, 1, 2));
    assert_eq!(subject.shown(7).await.0.as_deref(), Some("A road of stars."));
    assert_eq!(subject.load(&worse).await, Outcome::Unchanged);

    // A changed link is one more video; an older record again is recognised as different.
    let mut moved = worse.clone();
    moved.videos[0].url = "https://player.test/seria/moved/def/720p".into();
    let Outcome::Loaded { writes, .. } = subject.load(&moved).await else { panic!("no update") };
    assert_eq!((writes.series, writes.episodes, writes.videos), (0, 0, 1));
    assert!(subject.shown(7).await.2.contains(&moved.videos[0].url));
    assert!(matches!(subject.load(&worse).await, Outcome::Loaded { .. }), "going back is a change, too");
    subject.loader.close().await;
}

#[tokio::test]
async fn the_embedded_catalogue_conforms() {
    conforms(embedded().await).await;
}

#[tokio::test]
async fn the_contract_conforms() {
    conforms(over_http().await).await;
}

// ---- embedded ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn stale_links_are_switched_off_and_come_back() {
    let subject = embedded().await;
    let first = record(7, 2, &[1]);
    subject.load(&first).await;
    let mut moved = first.clone();
    moved.videos[0].url = "https://player.test/seria/new/def/720p".into();
    let Outcome::Loaded { writes, .. } = subject.load(&moved).await else { panic!("no update") };
    assert_eq!(writes, Writes { videos: 1, deactivated: 1, ..Writes::default() });
    assert_eq!(subject.shown(7).await.2, vec![moved.videos[1].url.clone(), moved.videos[0].url.clone()]);
    // The old link again: the old row lives again, the newer one is stale.
    let Outcome::Loaded { writes, .. } = subject.load(&first).await else { panic!("no update") };
    assert_eq!(writes, Writes { videos: 1, deactivated: 1, ..Writes::default() });
    // An episode that is gone goes with its videos and its release's count.
    let Outcome::Loaded { writes, .. } = subject.load(&record(7, 1, &[1])).await else { panic!("no update") };
    assert_eq!(writes, Writes { episodes: 1, releases: 1, deactivated: 1, ..Writes::default() });
    let Loader::Embedded(embedded) = &subject.loader else { unreachable!() };
    let counts = embedded.catalogue().counts().await.unwrap();
    assert_eq!((counts.series, counts.episodes, counts.videos, counts.inactive_videos), (1, 2, 1, 2));
}

#[tokio::test]
async fn what_a_person_changed_stays() {
    let subject = embedded().await;
    let first = record(7, 2, &[1, 2]);
    subject.load(&first).await;
    let person = rusqlite::Connection::open(subject.catalogue_file()).unwrap();
    person
        .execute_batch(
            "UPDATE series SET title = 'By hand', admin_modified = 1;
             UPDATE episode SET is_active = 0, disabled_by = 'ann' WHERE source_episode_id = '7:2';
             UPDATE video SET is_active = 0, disabled_by = 'ann' WHERE url LIKE '%/711/%';",
        )
        .unwrap();
    let mut next = record(7, 3, &[1, 2]);
    next.series.description = Some("Other".into());
    let Outcome::Loaded { writes, .. } = subject.load(&next).await else { panic!("no update") };
    assert_eq!((writes.series, writes.episodes, writes.videos), (0, 1, 2));
    let look = |sql: &str| person.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(look("SELECT count(*) FROM series WHERE title = 'By hand' AND description = 'A road of stars.'"), 1);
    assert_eq!(look("SELECT count(*) FROM episode WHERE is_active = 0 AND disabled_by = 'ann'"), 1);
    assert_eq!(look("SELECT count(*) FROM video WHERE is_active = 0 AND disabled_by = 'ann'"), 1);
    assert_eq!(look("SELECT count(*) FROM video WHERE is_active = 1"), 5);
    assert_eq!(subject.load(&next).await, Outcome::Unchanged);
}

#[tokio::test]
async fn many_imports_of_one_title_at_once_make_no_duplicates() {
    let subject = Arc::new(embedded().await);
    let tasks = (0..24_u32).map(|n| {
        let subject = Arc::clone(&subject);
        tokio::spawn(async move { subject.load(&record(7, 1 + n % 3, &[1, 2])).await })
    });
    for task in futures::future::join_all(tasks).await {
        assert!(!matches!(task.unwrap(), Outcome::Failed(_)));
    }
    subject.load(&record(7, 3, &[1, 2])).await;
    let Loader::Embedded(embedded) = &subject.loader else { unreachable!() };
    let counts = embedded.catalogue().counts().await.unwrap();
    assert_eq!((counts.series, counts.episodes, counts.releases), (1, 3, 2));
    assert_eq!((counts.videos, counts.inactive_videos), (6, 0));
}

#[tokio::test]
async fn equal_titles_get_numbered_slugs_that_stay() {
    let subject = embedded().await;
    let mut same = record(1, 1, &[1]);
    for id in [1, 2, 3] {
        same = record(id, 1, &[1]);
        same.series.title = "Same Name".into();
        subject.load(&same).await;
    }
    same.series.title = "Another Name".into();
    subject.load(&same).await;
    let person = rusqlite::Connection::open(subject.catalogue_file()).unwrap();
    let slugs: Vec<String> = person
        .prepare("SELECT slug FROM series ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(slugs, ["same-name", "same-name-1", "same-name-2"]);
}

#[tokio::test]
async fn characters_are_shared_linked_and_unlinked() {
    let subject = embedded().await;
    let character = |id: u64, role| Character { id, name: format!("C{id}"), russian: None, role, image: None };
    let mut with = record(7, 1, &[1]);
    with.characters = Some(vec![character(1, CharacterRole::Main), character(2, CharacterRole::Supporting)]);
    let Outcome::Loaded { writes, .. } = subject.load(&with).await else { panic!("not created") };
    assert_eq!(writes.characters, 4);
    // Not asked for is not gone.
    let mut without = with.clone();
    without.characters = None;
    assert_eq!(subject.load(&without).await, Outcome::Unchanged);
    with.characters = Some(vec![character(1, CharacterRole::Supporting)]);
    let Outcome::Loaded { writes, .. } = subject.load(&with).await else { panic!("no update") };
    assert_eq!(writes, Writes { characters: 2, ..Writes::default() });
    assert_eq!(subject.load(&with).await, Outcome::Unchanged);
}

#[tokio::test]
async fn one_refused_title_leaves_nothing_and_stops_nobody() {
    let subject = embedded().await;
    let mut bad = record(7, 2, &[1]);
    bad.videos[1].url = String::new();
    let Outcome::Failed(failure) = subject.load(&bad).await else { panic!("accepted") };
    assert_eq!((failure.stage.as_str(), failure.retryable), ("embedded", false));
    let Loader::Embedded(embedded) = &subject.loader else { unreachable!() };
    assert_eq!(embedded.catalogue().counts().await.unwrap().episodes, 0, "half applied");
    assert!(matches!(subject.load(&record(8, 2, &[1])).await, Outcome::Loaded { .. }));
}

// ---- contract ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn payloads_are_the_contracts_byte_for_byte() {
    let subject = over_http().await;
    let mut bare = record(12345, 1, &[1]);
    bare.series.alternative_titles = vec![];
    bare.series.genres = vec![];
    bare.series.description = None;
    bare.series.year = None;
    bare.series.status = None;
    bare.series.poster = None;
    subject.load(&bare).await;
    let world = subject.world();
    let sent: Vec<_> = world.requests.iter().map(|(path, body)| format!("{path} {body}")).collect();
    assert_eq!(
        sent,
        [
            concat!(
                "/api/v1/internal/import/anime ",
                r#"{"source_name":"kodik-shikimori","source_id":"12345","title":"Hoshi no Michi 12345","#,
                r#""alternative_titles":null,"description":null,"year":null,"status":null,"poster":null,"genres":null}"#
            ),
            concat!(
                "/api/v1/internal/import/episodes ",
                r#"{"source_name":"kodik-shikimori","anime_source_id":"12345","episodes":["#,
                r#"{"source_episode_id":"12345:1","number":1,"title":null,"is_available":true}]}"#
            ),
            concat!(
                "/api/v1/internal/import/video ",
                r#"{"source_name":"kodik-shikimori","source_episode_id":"12345:1","player":{"type":"iframe","#,
                r#""url":"https://player.test/seria/1234511/abc/720p","source_name":"kodik","priority":99}}"#
            ),
        ]
    );
}

/// The backend refuses an empty list of episodes.
#[tokio::test]
async fn an_announced_title_sends_no_empty_list_of_episodes() {
    let subject = over_http().await;
    let announced = record(12346, 0, &[]);
    assert!(matches!(subject.load(&announced).await, Outcome::Loaded { .. }));
    let paths: Vec<_> = subject.world().requests.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(paths, ["/api/v1/internal/import/anime"]);
}

#[tokio::test]
async fn one_refused_video_fails_the_title_and_loads_the_others() {
    let subject = over_http().await;
    subject.fault(
        "/seria/721/",
        1,
        422,
        r#"{"error":{"code":"VALIDATION_ERROR","message":"Invalid","trace_id":"t9"}}"#,
    );
    let title = record(7, 3, &[1]);
    let Outcome::Failed(failure) = subject.load(&title).await else { panic!("not failed") };
    assert_eq!((failure.code.as_str(), failure.retryable), ("validation", false));
    assert_eq!(failure.parts, ["video 7:2 (translation 1): status 422: Invalid (trace t9)"]);
    assert_eq!(subject.world().videos.len(), 2);
    // The next run sends the missing one alone.
    let before = subject.requests();
    let Outcome::Loaded { writes, .. } = subject.load(&title).await else { panic!("still failing") };
    assert_eq!(writes, Writes { videos: 1, ..Writes::default() });
    assert_eq!(subject.requests(), before + 1);
}

#[tokio::test]
async fn partial_failures_are_reported_by_episode() {
    let subject = over_http().await;
    let body = r#"{"success":false,"total":3,"imported":2,"errors":["Episode 2 (ID: 7:2): validation error"]}"#;
    // The stand-in does not store what it answers for, so the good ones are put there by hand.
    subject.fault(r#""episodes":["#, 1, 200, body);
    for id in ["7:1", "7:3"] {
        subject.world().episodes.insert(id.into(), serde_json::Value::Null);
    }
    let Outcome::Failed(failure) = subject.load(&record(7, 3, &[1])).await else { panic!("not failed") };
    assert_eq!(failure.code, "partial");
    assert_eq!(
        failure.parts,
        ["episodes: Episode 2 (ID: 7:2): validation error", "1 videos: not sent, their episodes were refused"]
    );
    assert_eq!(subject.world().videos.len(), 2);
    assert!(matches!(subject.load(&record(7, 3, &[1])).await, Outcome::Loaded { .. }));
    assert_eq!(subject.world().videos.len(), 3);
}

#[tokio::test]
async fn an_application_error_is_retried_and_then_fails_only_its_title() {
    let subject = over_http().await;
    let body = r#"{"error":{"code":"HTTP_ERROR","message":"Failed to import anime: deadlock","trace_id":"t3"}}"#;
    subject.fault(r#""source_id":"7""#, 2, 500, body);
    assert!(matches!(subject.load(&record(7, 1, &[1])).await, Outcome::Loaded { .. }));
    subject.fault(r#""source_id":"8""#, 9, 500, body);
    let Outcome::Failed(failure) = subject.load(&record(8, 1, &[1])).await else { panic!("not failed") };
    assert!(failure.retryable);
    assert!(failure.reason.contains("deadlock") && failure.reason.contains("t3"), "{}", failure.reason);
    assert!(matches!(subject.load(&record(9, 1, &[1])).await, Outcome::Loaded { .. }));
}

#[tokio::test]
async fn a_backend_that_lost_its_data_gets_everything_again() {
    let subject = over_http().await;
    subject.load(&record(7, 2, &[1])).await;
    {
        let mut world = subject.world();
        world.anime.clear();
        world.episodes.clear();
        world.videos.clear();
    }
    assert!(matches!(subject.load(&record(7, 3, &[1])).await, Outcome::Loaded { .. }));
    let world = subject.world();
    assert_eq!((world.anime.len(), world.episodes.len(), world.videos.len()), (1, 3, 3));
}

#[tokio::test]
async fn a_missing_parent_is_sent_again_only_once() {
    let subject = over_http().await;
    subject.fault(r#""episodes":["#, 9, 404, r#"{"detail":"Anime not found: kodik-shikimori/7"}"#);
    let Outcome::Failed(failure) = subject.load(&record(7, 1, &[1])).await else { panic!("not failed") };
    assert_eq!(failure.code, "order");
    // Twice the series and twice the episodes; the video has no episode to belong to.
    assert_eq!(subject.requests(), 4);
}

#[tokio::test]
async fn a_conflict_is_tried_once_more() {
    let subject = over_http().await;
    subject.fault("/seria/711/", 1, 409, "{}");
    assert!(matches!(subject.load(&record(7, 1, &[1])).await, Outcome::Loaded { .. }));
    subject.fault("/seria/811/", 2, 412, "{}");
    let Outcome::Failed(failure) = subject.load(&record(8, 1, &[1])).await else { panic!("not failed") };
    assert_eq!((failure.code.as_str(), failure.retryable), ("conflict", true));
}

#[tokio::test]
async fn a_bad_token_stops_the_run_without_showing_it() {
    let subject = over_http().await;
    let server = subject.server.as_ref().unwrap();
    let wrong = client(server, &subject.folder.path().join("other.db"), "wrong-token-that-is-secret");
    let error = wrong.load(&record(7, 1, &[1]), None).await.unwrap_err();
    assert!(matches!(error, LoadError::BadToken { .. }));
    assert_eq!(error.party(), Party::Backend);
    assert!(error.hint().unwrap().contains("INTERNAL_TOKEN"));
    assert!(!format!("{error} {error:?} {wrong:?}").contains("wrong-token"));
    assert_eq!(subject.requests(), 1);
}

#[tokio::test]
async fn the_ledgers_fingerprint_saves_every_request() {
    let subject = over_http().await;
    let title = record(7, 1, &[1]);
    let known = title.fingerprint();
    assert_eq!(subject.loader.load(&title, Some(&known)).await.unwrap(), Outcome::Unchanged);
    assert_eq!(subject.requests(), 0);
    assert!(matches!(subject.loader.load(&title, Some("other")).await.unwrap(), Outcome::Loaded { .. }));
}

#[tokio::test]
async fn what_the_backend_would_refuse_is_not_sent() {
    let subject = over_http().await;
    let mut bad = record(7, 2, &[1]);
    bad.series.title = " ".into();
    bad.series.year = Some(1850);
    bad.videos[0].url = "//player.test/x?secret=1".into();
    bad.videos[1].episode_id = EpisodeId("7:9".into());
    let Outcome::Failed(failure) = subject.load(&bad).await else { panic!("accepted") };
    assert_eq!(failure.parts.len(), 4, "{:?}", failure.parts);
    assert!(!failure.parts.concat().contains("secret"));
    assert_eq!(subject.requests(), 0);
}

#[tokio::test]
async fn long_lists_of_episodes_are_sent_in_pieces() {
    let subject = over_http().await;
    let Outcome::Loaded { writes, .. } = subject.load(&record(7, 1100, &[])).await else { panic!("not loaded") };
    assert_eq!(writes.episodes, 1100);
    assert_eq!(subject.requests(), 4);
}

#[test]
fn targets_carry_no_secret() {
    let show = || Box::new(|_: Preview| ()) as parser::load::Show;
    let folder = tempfile::tempdir().unwrap();
    let url = "https://user:pass@host.test:8443/base/?token=x#y".parse().unwrap();
    let dry = DryRun::contract(&url, SOURCE, &folder.path().join("sent.db"), show()).unwrap();
    assert_eq!(dry.target(), "contract:https://host.test:8443/base#kodik-shikimori");
}

// ---- dry run -------------------------------------------------------------------------------------------------------

fn bytes_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

fn collector() -> (Arc<Mutex<Vec<Preview>>>, parser::load::Show) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    (seen, Box::new(move |preview| into.lock().unwrap().push(preview)))
}

#[tokio::test]
async fn a_dry_run_says_what_a_run_does_and_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let first = record(7, 2, &[1]);
    let (seen, show) = collector();
    let dry = Loader::DryRun(DryRun::embedded(&file, SOURCE, show).await.unwrap());
    let predicted = dry.load(&first, None).await.unwrap();
    dry.close().await;
    assert!(bytes_of(folder.path()).is_empty(), "a file was created");
    let real = Loader::Embedded(Embedded::open(&file, SOURCE).await.unwrap());
    assert_eq!(real.load(&first, None).await.unwrap(), predicted);
    let target = real.target();
    real.close().await;

    let before = bytes_of(folder.path());
    let (seen_later, show) = collector();
    let dry = Loader::DryRun(DryRun::embedded(&file, SOURCE, show).await.unwrap());
    assert_eq!(dry.target(), target);
    assert_eq!(dry.load(&first, None).await.unwrap(), Outcome::Unchanged);
    let mut changed = record(7, 3, &[1]);
    changed.series.year = Some(2022);
    changed.videos[0].url = "https://player.test/seria/new/def/720p".into();
    assert!(matches!(dry.load(&changed, None).await.unwrap(), Outcome::Loaded { change: Change::Updated, .. }));
    let mut refused = record(8, 1, &[1]);
    refused.series.year = Some(1800);
    assert!(matches!(dry.load(&refused, None).await.unwrap(), Outcome::Failed(_)));
    dry.close().await;
    assert_eq!(bytes_of(folder.path()), before);

    assert_eq!(seen.lock().unwrap()[0].action, Action::Create);
    let seen = seen_later.lock().unwrap();
    assert_eq!(
        seen.iter().map(|preview| preview.action).collect::<Vec<_>>(),
        [Action::Unchanged, Action::Update, Action::Refused]
    );
    let update = &seen[1];
    assert_eq!((update.episodes_added, update.videos_added, update.videos_removed), (1, 2, 1));
    assert_eq!(update.fields.len(), 1);
    assert_eq!((update.fields[0].old.as_deref(), update.fields[0].new.as_deref()), (Some("2021"), Some("2022")));
}

#[tokio::test]
async fn a_dry_run_against_the_contract_asks_nobody() {
    let subject = over_http().await;
    subject.load(&record(7, 2, &[1])).await;
    let base: url::Url = subject.server.as_ref().unwrap().uri().parse().unwrap();
    let requests = subject.requests();
    let target = subject.loader.target();
    // The loader still has the file open, with its log: the dry run has to see both.
    let sent = subject.folder.path().join("sent.db");
    let before = bytes_of(subject.folder.path());
    let (seen, show) = collector();
    let dry = DryRun::contract(&base, SOURCE, &sent, show).unwrap();
    assert_eq!(dry.target(), target);
    assert_eq!(dry.load(&record(7, 2, &[1]), None).await.unwrap(), Outcome::Unchanged);
    let outcome = dry.load(&record(7, 3, &[1]), None).await.unwrap();
    let writes = Writes { episodes: 1, videos: 1, ..Writes::default() };
    assert_eq!(outcome, Outcome::Loaded { change: Change::Updated, writes });
    assert!(matches!(
        dry.load(&record(8, 1, &[1]), None).await.unwrap(),
        Outcome::Loaded { change: Change::Created, .. }
    ));
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert_eq!(bytes_of(subject.folder.path()), before);
    assert_eq!(subject.requests(), requests);
}

// ---- properties ----------------------------------------------------------------------------------------------------

fn any_record() -> impl Strategy<Value = TitleRecord> {
    let fields = (
        proptest::option::of("[a-z]{1,6}"),
        proptest::option::of(1990_u16..2030),
        proptest::collection::vec("[a-z]{1,4}", 0..3),
        0..3_u8,
    );
    let shape = (0..5_u32, proptest::collection::btree_set(1_i64..5, 0..3), proptest::num::u64::ANY, 1..3_u64);
    (fields, shape).prop_map(|((description, year, genres, origin), (episodes, translations, links, id))| {
        let mut made = record(id, episodes, &translations.into_iter().collect::<Vec<_>>());
        made.series.description = description;
        made.series.year = year;
        made.series.genres = genres;
        made.origin = match origin {
            0 => MetadataOrigin::ShikimoriGraphql,
            1 => MetadataOrigin::ShikimoriRest,
            _ => MetadataOrigin::MaterialData,
        };
        for (at, video) in made.videos.iter_mut().enumerate() {
            // Some links differ between records, some are shared by two translations.
            match (links >> (2 * (at % 32))) & 3 {
                0 => video.url = format!("https://player.test/shared/{}", video.episode_id),
                1 => video.url.push('x'),
                _ => {}
            }
        }
        made
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// After an import the plan for the same record is empty, what was planned before is what was written, and the
    /// links that can be played are exactly the record's.
    #[test]
    fn importing_fulfils_the_plan(records in proptest::collection::vec(any_record(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let subject = embedded().await;
            let Loader::Embedded(embedded) = &subject.loader else { unreachable!() };
            for record in &records {
                let planned = embedded.catalogue().plan(record).await.unwrap();
                let outcome = subject.load(record).await;
                let expected = match planned.change {
                    None => Outcome::Unchanged,
                    Some(change) => Outcome::Loaded { change, writes: planned.writes() },
                };
                prop_assert_eq!(outcome, expected);
                prop_assert_eq!(embedded.catalogue().plan(record).await.unwrap().change, None);
                let mut urls: Vec<_> = record.videos.iter().map(|video| video.url.clone()).collect();
                urls.sort();
                urls.dedup();
                prop_assert_eq!(subject.shown(record.series.id.0).await.2, urls);
            }
            Ok(())
        })?;
    }
}
