//! What orchestrators see of a consumer, what it makes by itself, and what it forgets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::brokers::{self, Broker, Kind};
use crate::world::{DEADLINE, World, raw, references};

/// `parser consume` with its probes.
struct Probed {
    child: Child,
    address: String,
}

impl Drop for Probed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Probed {
    fn begin(world: &World) -> Self {
        let mut command = world.command(&["consume", "--listen", "127.0.0.1:0"]);
        let log = std::fs::File::create(world.path("log-probed")).unwrap();
        let mut child = command.stderr(log).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("probes on http://").expect("its address").to_owned();
        Self { child, address }
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let started = std::time::Instant::now();
        while !is(self) {
            assert!(started.elapsed() < DEADLINE, "never {what}: {}", self.get("/metrics").1);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
fn probes_tell_that_it_lives_that_it_has_joined_and_what_it_does() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_INSTANCE_ID", "one");
    world.set("KAFKA_PROPERTIES", "session.timeout.ms=6000,statistics.interval.ms=200");
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["a", "b"]), raw("junk"), references("g", &["c"])]);
    let probed = Probed::begin(&world);
    assert_eq!(probed.get("/healthz").0, 200);
    probed.until("ready", |probed| probed.get("/readyz").0 == 200);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 4);
    let lag = format!("parser_kafka_lag{{topic=\"{}\",partition=\"0\"}} 0", world.users());
    probed.until("without lag", |probed| probed.get("/metrics").1.contains(&lag));
    let (status, told) = probed.get("/metrics");
    assert_eq!(status, 200);
    for line in [
        "parser_kafka_consumed_total 3",
        "parser_kafka_processed_total{kind=\"references\",outcome=\"completed\"} 2",
        "parser_kafka_processed_total{kind=\"unreadable\",outcome=\"failed\"} 1",
        "parser_kafka_dead_letters_total{stage=\"VALUE_CONVERTER\"} 1",
        "parser_kafka_in_flight 0",
        "parser_kafka_jobs_total{kind=\"references\",status=\"COMPLETED\"} 2",
        "parser_kafka_job_duration_seconds_count{kind=\"references\"} 2",
        "parser_kafka_nodes_total 3",
        // The predecessor's names.
        "kafka_dlq_messages_total 1",
        "kafka_processing_errors_total 1",
        "node_import_jobs_completed_total 2",
        "node_import_processed_total 3",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}: {told}");
    }
    assert_eq!(probed.get("/none").0, 404);
}

#[test]
fn a_consumer_without_a_broker_lives_and_is_not_ready() {
    let Some(world) = World::new("127.0.0.1:1") else { return };
    let probed = Probed::begin(&world);
    assert_eq!(probed.get("/healthz").0, 200);
    assert_eq!(probed.get("/readyz").0, 503);
}

#[test]
fn jobs_that_ended_long_ago_are_forgotten_and_nothing_else() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_INSTANCE_ID", "one");
    world.set("KAFKA_KEEP_DAYS", "3");
    world.topic(&world.users(), 1);
    let ids: Vec<String> = (0..4).map(|number| format!("n{number}")).collect();
    world.send(&world.users(), &ids.iter().map(|id| references("g", &[id])).collect::<Vec<_>>());
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 4);
    assert_eq!(consumer.stop(), Some(0));
    let aged = |offset: u32, days: u32| {
        let set =
            format!("UPDATE message_job SET updated_at = now() - interval '{days} days' WHERE position = {offset}");
        world.sql(&set);
    };
    aged(0, 4);
    aged(1, 2);
    // Old, but not ended; old, and not told.
    aged(2, 4);
    world.sql("UPDATE message_job SET status = 'PROCESSING' WHERE position = 2");
    aged(3, 4);
    world.sql(
        "UPDATE message_outbox SET published_at = NULL, owned_until = now() + interval '1 day' WHERE job_id = \
         (SELECT id FROM message_job WHERE position = 3)",
    );
    let consumer = world.consume();
    let started = std::time::Instant::now();
    while world.count("SELECT count(*) FROM message_job WHERE position = 0") > 0 {
        assert!(started.elapsed() < DEADLINE, "never forgotten: {}", world.logs());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let left = world.sql("SELECT position FROM message_job ORDER BY position");
    assert_eq!(left.concat(), ["1", "2", "3"]);
    assert_eq!(world.count("SELECT count(*) FROM message_outbox"), 3);
    // What they made stays.
    assert_eq!(world.count("SELECT count(*) FROM nodes"), 4);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn topics_that_are_not_there_are_made() {
    if std::env::var_os("KAFKA_BROKERS").is_some() {
        println!("skipped: a given broker sends its clients past the proxy");
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let Some(broker) = Broker::start_behind(Kind::Calfkit, Some(&address)) else { return };
    crate::proxy::strict(listener, &broker.address);
    let Some(world) = World::new(&address) else { return };
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[raw("junk")]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 2);
    assert_eq!(world.ends(1).len(), 1);
    assert_eq!(world.read(&world.dead_letters()).len(), 1);
    assert!(!consumer.log().contains("could not be published"), "{}", consumer.log());
    for topic in [world.statuses(), world.dead_letters()] {
        assert!(consumer.log().contains(&format!("made a topic topic=\"{topic}\"")), "{topic}: {}", consumer.log());
    }
    assert_eq!(consumer.stop(), Some(0));
}
