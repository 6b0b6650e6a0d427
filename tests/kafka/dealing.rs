//! Many dead letters at once: read once, in groups, however many they are; and what is remembered of them is forgotten
//! when they are.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::brokers::{self, Broker, Kind};
use crate::dead::{TOKEN, serve};
use crate::world::{Sent, World, header, key, value};

/// Stands before a broker and counts what that sends.
struct Counting {
    address: SocketAddr,
    bytes: Arc<AtomicUsize>,
}

impl Counting {
    fn new() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (Self { address: listener.local_addr().unwrap(), bytes: Arc::new(AtomicUsize::new(0)) }, listener)
    }

    fn stand_before(&self, listener: TcpListener, broker: String) {
        let bytes = Arc::clone(&self.bytes);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(broker) = TcpStream::connect(&broker) else { continue };
                let (reads, writes) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                let (counted, nothing) = (Arc::clone(&bytes), Arc::new(AtomicUsize::new(0)));
                std::thread::spawn(move || pass(reads, writes, &nothing));
                std::thread::spawn(move || pass(broker, client, &counted));
            }
        });
    }

    /// How much comes while something is done.
    fn counted<T>(&self, done: impl FnOnce() -> T) -> (T, usize) {
        let before = self.bytes.load(Ordering::SeqCst);
        let done = done();
        (done, self.bytes.load(Ordering::SeqCst) - before)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, counted: &AtomicUsize) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        counted.fetch_add(count, Ordering::SeqCst);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Whoever has gone already is gone.
    let _ = (to.shutdown(std::net::Shutdown::Both), from.shutdown(std::net::Shutdown::Both));
}

/// A dead letter as a consumer of ours writes it.
fn letter(world: &World, id: &str, value: String) -> Sent {
    letter_of(world, id, value, jiff::Timestamp::now())
}

/// The same, given up at a time.
fn letter_of(world: &World, id: &str, value: String, given_up: jiff::Timestamp) -> Sent {
    let text = |name: &str, text: &str| (name.to_owned(), Some(text.as_bytes().to_vec()));
    let headers = vec![
        text("__connect.errors.topic", &world.users()),
        text("__connect.errors.partition", "0"),
        text("__connect.errors.offset", "0"),
        text("__connect.errors.exception.class.name", "malformed"),
        text("__connect.errors.exception.message", "no good"),
        text("parser-job-id", id),
        text("parser-time", &given_up.to_string()),
    ];
    Sent { value, headers, ..Sent::default() }
}

/// A broker behind something that counts, and a world there with the topics of messages and of dead letters.
fn counted_world() -> Option<(Broker, Counting, World)> {
    if std::env::var_os("KAFKA_BROKERS").is_some() {
        println!("skipped: a given broker sends its clients to itself");
        return None;
    }
    let (counting, listener) = Counting::new();
    let address = counting.address.to_string();
    let broker = Broker::start_behind(Kind::Calfkit, Some(&address))?;
    counting.stand_before(listener, broker.address.clone());
    let world = World::new(&address)?;
    world.topic(&world.users(), 2);
    world.topic(&world.dead_letters(), 3);
    Some((broker, counting, world))
}

#[test]
fn a_replay_of_many_letters_reads_their_topic_once() {
    const LETTERS: usize = 1200;
    let Some((_broker, counting, world)) = counted_world() else { return };
    let letters: Vec<_> = (0..LETTERS)
        .map(|number| {
            let filling = "x".repeat(2000);
            let one = letter(
                &world,
                &format!("letter-{number}"),
                json!({ "number": number, "filling": filling }).to_string(),
            );
            one.key(&format!("k{}", number % 7))
        })
        .collect();
    world.send(&world.dead_letters(), &letters);
    let (read, once) = counting.counted(|| world.read(&world.dead_letters()));
    assert_eq!(read.len(), LETTERS);

    let (would, bytes) = counting.counted(|| world.json(&["dlq", "replay", "--dry-run", "--json"]));
    assert_eq!((&would["count"], would["letters"].as_array().unwrap().len()), (&json!(LETTERS), 500));
    assert!(bytes < once * 3 / 2, "{bytes} of {once}");

    // By id: one that is not there, and then some.
    let (unknown, bytes) = counting.counted(|| world.run(&["dlq", "replay", "letter-3", "letter-x", "letter-1199"]));
    assert_eq!(unknown.status.code(), Some(2));
    assert!(bytes < once * 3 / 2, "{bytes} of {once}");
    let (some, bytes) =
        counting.counted(|| world.json(&["dlq", "replay", "--json", "letter-3", "letter-1199", "letter-700"]));
    let done: HashSet<_> = some["replayed"].as_array().unwrap().iter().filter_map(|id| id.as_str()).collect();
    assert_eq!(done, HashSet::from(["letter-3", "letter-700", "letter-1199"]));
    assert!(bytes < once * 3 / 2, "{bytes} of {once}");

    let (rest, bytes) = counting.counted(|| world.json(&["dlq", "replay", "--json"]));
    assert_eq!((rest["replayed"].as_array().unwrap().len(), &rest["failed"]), (LETTERS - 3, &json!([])));
    assert!(bytes < once * 3 / 2, "{bytes} of {once}");

    let sent = world.read(&world.users());
    let replayed: HashSet<_> = sent.iter().filter_map(|one| header(one, "parser-replay-of")).collect();
    assert_eq!((sent.len(), replayed.len()), (LETTERS, LETTERS));
    // Those of a key in their order, but for the ones that went before.
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for one in sent.iter().filter(|one| {
        let of = header(one, "parser-replay-of").unwrap();
        !["letter-3", "letter-700", "letter-1199"].contains(&of.as_str())
    }) {
        let number = value(one)["number"].as_u64().unwrap();
        if let Some(before) = last.insert(key(one).unwrap(), number) {
            assert!(before < number, "{before} before {number}");
        }
    }
    assert_eq!(last.len(), 7);
    let (none, bytes) = counting.counted(|| world.json(&["dlq", "discard", "--json"]));
    assert_eq!(none["discarded"], json!([]));
    assert!(bytes < once * 3 / 2, "{bytes} of {once}");
    assert_eq!(world.count("SELECT count(*) FROM dead_letter_settled WHERE action = 'replayed'"), LETTERS);
}

/// The most memory that a command has had while it ran, in KiB; and its exit code.
fn most_memory(world: &World, args: &[&str]) -> (u64, Option<i32>) {
    let mut child = world.command(args).stdout(std::process::Stdio::null()).spawn().unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        if let Some(exit) = child.try_wait().unwrap() {
            return (most, exit.code());
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn letters_that_do_not_fit_into_memory_are_dealt_with() {
    const LETTERS: usize = 320;
    let Some((_broker, counting, world)) = counted_world() else { return };
    let large = "x".repeat(320 << 10);
    for some in 0..LETTERS / 20 {
        // The test need not hold them all either.
        let some = (some * 20..some * 20 + 20).map(|number| {
            letter(&world, &format!("letter-{number}"), large.clone()).to(i32::try_from(number % 2).unwrap())
        });
        world.send(&world.dead_letters(), &some.collect::<Vec<_>>());
    }
    let (small, _) = most_memory(&world, &["dlq", "discard", "--dry-run", "--since", "2999-01-01"]);
    // They are 100 MiB.
    let bound = small + 40 * 1024;
    for args in [&["dlq", "discard", "--dry-run"][..], &["dlq", "discard", "--reason", "no good"]] {
        let (most, exit) = most_memory(&world, args);
        assert_eq!(exit, Some(0), "{args:?}");
        assert!(most < bound, "{args:?}: {most} KiB, {small} KiB without letters");
    }
    assert_eq!(world.count("SELECT count(*) FROM dead_letter_settled"), LETTERS);
    // Who looks for one reads no further.
    let (found, bytes) = counting.counted(|| world.run(&["dlq", "show", "letter-3"]));
    assert!(found.status.success());
    assert!(bytes < LETTERS * large.len() / 2, "{bytes}");
}

#[test]
fn what_was_done_with_letters_is_forgotten_when_they_certainly_are() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    let ago = |hours: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    let ids = |topic: &str| {
        let found = world.sql(&format!("SELECT id FROM dead_letter_settled WHERE topic = '{topic}' ORDER BY id"));
        found.into_iter().map(|mut row| row.remove(0)).collect::<Vec<_>>()
    };
    let (ours, foreign, empty) =
        (world.dead_letters(), format!("{}-foreign-dlq", world.name), format!("{}-empty-dlq", world.name));
    for topic in [&ours, &foreign, &empty] {
        world.topic(topic, 3);
    }
    let dlq = |topic: &str, args: &[&str]| {
        let mut command = world.command(&[&["dlq"], args].concat());
        let done = command.env("KAFKA_DEAD_LETTER_TOPIC", topic).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<serde_json::Value>(&done.stdout).unwrap()
    };
    let a_letter = |id: &str, hours| letter_of(&world, id, "junk".to_owned(), ago(hours));
    world.send(&ours, &[a_letter("a", 2).to(0), a_letter("b", 1).to(0), a_letter("c", 1).to(1)]);
    // Who wrote the first one of a partition, and when, is not known.
    world.send(&foreign, &[a_letter("d", 2).to(0), crate::world::raw("junk").to(1), a_letter("e", 2).to(1)]);
    dlq(&ours, &["list", "--json"]);
    for topic in [&ours, &foreign, &empty, &"another-dlq".to_owned()] {
        // A day before the oldest of the letters was given up, and less than a day.
        for (name, hours) in [("gone", 27), ("perhaps-gone", 25)] {
            world.sql(&format!(
                "INSERT INTO dead_letter_settled (id, topic, action, settled_at) \
                 VALUES ('{name}-{topic}', '{topic}', 'discarded', now() - interval '{hours} hours')"
            ));
        }
    }
    let before: BTreeMap<_, _> = [&ours, &foreign, &empty].map(|topic| (topic, ids(topic))).into_iter().collect();
    // Who only looks forgets nothing, and who looks for one letter does not see all.
    for args in [&["list", "--json"][..], &["discard", "--dry-run", "--json"], &["discard", "--json", "a"]] {
        dlq(&ours, args);
        assert!(ids(&ours).contains(&format!("gone-{ours}")), "{args:?}");
    }
    for topic in [&ours, &foreign, &empty] {
        dlq(topic, &["discard", "--json"]);
    }
    assert_eq!(ids(&ours), ["a".to_owned(), "b".into(), "c".into(), format!("perhaps-gone-{ours}")]);
    assert_eq!(ids(&foreign)[..2], ["d", "e"]);
    assert!(before[&foreign].iter().all(|id| ids(&foreign).contains(id)));
    assert_eq!(ids(&empty), before[&empty]);
    assert_eq!(ids("another-dlq").len(), 2);
    // None of those that are there comes back.
    for topic in [&ours, &foreign] {
        dlq(topic, &["discard", "--json"]);
        assert_eq!(dlq(topic, &["list", "--json"])["count"], 0);
        assert_eq!(dlq(topic, &["list", "--json", "--all"])["count"], 3);
    }
}

#[tokio::test]
async fn the_page_looks_at_the_end_of_a_long_topic_and_its_buttons_at_all_of_it() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.dead_letters(), 1);
    let letters = (0..10_300).map(|number| {
        let value = if number < 300 { "old" } else { "new" };
        let mut one = letter(&world, &format!("letter-{number:05}"), value.to_owned());
        one.headers[4].1 = Some(value.as_bytes().to_vec());
        one
    });
    world.send(&world.dead_letters(), &letters.collect::<Vec<_>>());
    let served = serve(&world);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let post = |path: &str, cookie: &str, form: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = client.post(format!("{}{path}", served.address)).header("Cookie", cookie).body(body);
        request.header("Content-Type", "application/x-www-form-urlencoded").send()
    };
    let entered = post("/login", "", &[("token", TOKEN)]).await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = async |path: &str| {
        let page = client.get(format!("{}{path}", served.address)).header("Cookie", &cookie).send();
        page.await.unwrap().text().await.unwrap()
    };
    let shown = page("/dead-letters").await;
    assert!(shown.contains("The newest 200 of 10000.") && shown.contains("There are older messages"), "{shown}");
    assert!(shown.contains("malformed: new") && !shown.contains("malformed: old"), "{shown}");
    let none = page("/dead-letters?reason=old").await;
    assert!(none.contains("None that fit") && none.contains("There are older messages"), "{none}");
    // One of the old ones is found all the same.
    assert!(page("/dead-letters/letter-00007").await.contains("malformed: old"));
    let token = shown.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let click = async |path: &str, reason: &str| {
        let done = post(path, &cookie, &[("form_token", &token), ("reason", reason)]).await.unwrap();
        done.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(click("/dead-letters/letter-00007/discard", "").await, "/dead-letters?done=discarded-1-0");
    assert_eq!(click("/dead-letters/letter-00007/discard", "").await, "/dead-letters?done=discarded-0-0");
    assert_eq!(click("/dead-letters/discard", "old").await, "/dead-letters?done=discarded-299-0&reason=old");
    // One click is no more than it says.
    assert_eq!(click("/dead-letters/discard", "").await, "/dead-letters?done=discarded-1000-0");
    assert_eq!(world.count("SELECT count(*) FROM dead_letter_settled"), 1300);
}
