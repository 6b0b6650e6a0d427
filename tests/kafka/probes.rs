//! What orchestrators see of a consumer, what it makes by itself, and what it forgets.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::brokers::{self, Broker, Kind};
use crate::cluster::Cluster;
use crate::world::{DEADLINE, World, file, raw, references};

/// `parser consume` with its probes.
pub(crate) struct Probed {
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
    pub(crate) fn begin(world: &World) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut command = world.command(&["consume", "--listen", "127.0.0.1:0"]);
        let log =
            std::fs::File::create(world.path(&format!("log-probed{}", NEXT.fetch_add(1, Ordering::Relaxed)))).unwrap();
        let mut child = command.stderr(log).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("probes on http://").expect("its address").to_owned();
        Self { child, address }
    }

    /// Status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(crate) fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
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

/// Names of metrics in the files of `deploy/` that a consumer has to tell: its own, and the predecessor's.
fn asked_of_a_consumer() -> BTreeSet<String> {
    let file =
        |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)).unwrap();
    let readme = file("README.md");
    let aliases =
        readme.split("### Names of the predecessor").nth(1).unwrap().split("Without a counterpart").next().unwrap();
    let asked = [
        aliases.to_owned(),
        file("prometheus/alerts.yml"),
        file("grafana/dashboards/parser.json"),
        file("kubernetes/consume.yaml"),
        file("kubernetes/prometheus-adapter.yaml"),
    ];
    let names = asked.iter().flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    let ours = ["parser_kafka_", "parser_nodes_", "kafka_", "node_import_"];
    let names = names.filter(|word| ours.iter().any(|start| word.starts_with(start) && word.len() > start.len()));
    names.map(str::to_owned).collect()
}

#[test]
fn a_consumer_tells_every_metric_that_is_asked_of_it() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_INSTANCE_ID", "one");
    world.set("KAFKA_PROPERTIES", "session.timeout.ms=6000,statistics.interval.ms=200");
    world.set("IMPORT_BULK_SHORTEST_SECONDS", "1");
    world.set("IMPORT_BULK_ROW_SECONDS", "0.001");
    world.topic(&world.users(), 1);
    world.topic(&world.catalogue(), 1);
    let probed = Probed::begin(&world);
    probed.until("ready", |probed| probed.get("/readyz").0 == 200);
    // Before anything has happened every counter is there, so that its first growth is seen.
    let (_, told) = probed.get("/metrics");
    for line in [
        "parser_kafka_dead_letters_total{stage=\"VALUE_CONVERTER\"} 0",
        "parser_kafka_dead_letters_total{stage=\"TASK_PUT\"} 0",
        "parser_kafka_jobs_total{kind=\"file\",status=\"FAILED\"} 0",
        "parser_kafka_jobs_total{kind=\"catalogue\",status=\"COMPLETED\"} 0",
        "parser_kafka_failures_total 0",
        "parser_kafka_retries_total 0",
        "parser_kafka_waiting_for_store 0",
        "parser_nodes_batch_timeouts_total 0",
        "kafka_dlq_messages_total 0",
        "node_import_jobs_failed_total 0",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}: {told}");
    }

    // As PostgreSQL says of a deadlock, once; and a row of the file that takes too long, once. What a sequence has counted
    // stays counted.
    world.sql("CREATE SEQUENCE once; CREATE SEQUENCE slow");
    world.sql(
        "CREATE FUNCTION collides() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.reference_id = 'once' AND nextval('once') <= 1 \
         THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; \
         IF NEW.reference_id = 'f7' AND nextval('slow') <= 1 THEN PERFORM pg_sleep(20); END IF; \
         RETURN NEW; END $$",
    );
    world.sql("CREATE TRIGGER collides BEFORE INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION collides()");
    let rows: Vec<_> = (0..500).map(|row| format!("f{row},file")).collect();
    std::fs::write(world.path("rows.csv"), format!("id,group\n{}\n", rows.join("\n"))).unwrap();
    let record = json!({ "kind": "series", "source_name": "x", "external_id": "1", "payload": { "title": "One" } });
    world.send(&world.catalogue(), &[raw(&record.to_string())]);
    world.send(
        &world.users(),
        &[
            references("g", &["once"]),
            raw("junk"),
            file("rows.csv"),
            file("none-such.csv"),
            references("g", &["a", "b"]),
        ],
    );
    world.until("SELECT count(*) FROM message_job WHERE status <> 'PROCESSING'", 6);
    let done = world.count("SELECT count(*) FROM message_outbox");
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", done);
    let lag = format!("parser_kafka_lag{{topic=\"{}\",partition=\"0\"}} 0", world.users());
    probed.until("without lag", |probed| probed.get("/metrics").1.contains(&lag));
    let (_, told) = probed.get("/metrics");
    let value = |name: &str| -> f64 {
        let line = told.lines().find(|line| line.rsplit_once(' ').is_some_and(|(known, _)| known == name));
        line.unwrap_or_else(|| panic!("{name}: {told}")).rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    for name in asked_of_a_consumer() {
        let is = |line: &str| {
            let known = line.split(['{', ' ']).next().unwrap_or_default();
            known == name || known.strip_suffix("_count") == Some(name.as_str())
        };
        assert!(told.lines().any(is), "{name}: {told}");
    }
    // Records of the catalogue are no nodes, and their jobs no imports of nodes; nor is what cannot be read.
    for line in [
        "parser_kafka_nodes_total 503",
        "node_import_processed_total 503",
        "node_import_jobs_completed_total 3",
        "node_import_jobs_failed_total 1",
        "node_import_total_duration_seconds_count 4",
        "kafka_dlq_messages_total 2",
        // What takes an hour is told from what takes a minute.
        "parser_kafka_job_duration_seconds_bucket{kind=\"file\",le=\"1800\"} 2",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}: {told}");
    }
    assert!(value("parser_kafka_retries_total") >= 1.0);
    assert!(value("node_import_batch_timeout_total") >= 1.0 && value("node_import_batch_error_total") >= 1.0);
    assert!(value("parser_kafka_file_rows_per_second") > 0.0);
    for histogram in
        ["parser_nodes_copy_duration_seconds", "parser_nodes_merge_duration_seconds", "kafka_processing_time_seconds"]
    {
        assert!(value(&format!("{histogram}_count")) >= 1.0);
    }
    assert!(value("node_import_batch_processed_total") >= 1.0);
    assert!(told.contains("# HELP parser_kafka_job_duration_seconds From a message's being sent"));
}

#[test]
fn a_consumer_says_that_it_waits_for_its_store() {
    let Some(broker) = brokers::noida() else { return };
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let mut world = World::on(&broker.address, &database.url);
    world.set("KAFKA_INSTANCE_ID", "one");
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["a"])]);
    let probed = Probed::begin(&world);
    let waits = |probed: &Probed, waits: u8| {
        probed.get("/metrics").1.contains(&format!("\nparser_kafka_waiting_for_store {waits}\n"))
    };
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    assert!(waits(&probed, 0));
    cluster.control(&["-m", "immediate", "stop"]);
    world.send(&world.users(), &[references("g", &["b"])]);
    probed.until("waiting", |probed| waits(probed, 1));
    assert_eq!(probed.get("/readyz").0, 503);
    let port = database.url.rsplit_once(':').unwrap().1.split('/').next().unwrap();
    let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=");
    cluster.control(&["-o", &options, "-l", "/dev/null", "start"]);
    probed.until("working", |probed| waits(probed, 0));
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 2);
}

#[test]
fn a_consumer_is_ready_while_a_broker_answers_even_without_topics() {
    let Some(mut broker) = Broker::start(Kind::Noida) else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_PROPERTIES", "session.timeout.ms=6000,statistics.interval.ms=200,reconnect.backoff.max.ms=500");
    let probed = Probed::begin(&world);
    probed.until("ready", |probed| probed.get("/readyz").0 == 200);
    broker.stop();
    probed.until("not ready", |probed| probed.get("/readyz") == (503, "no broker answers\n".to_owned()));
    assert_eq!(probed.get("/healthz").0, 200);
    assert!(broker.launch());
    probed.until("ready again", |probed| probed.get("/readyz").0 == 200);
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
    // Its import went with it; what they made stays.
    assert_eq!(world.count("SELECT count(*) FROM import_record"), 3);
    assert_eq!(world.count("SELECT count(*) FROM nodes"), 4);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn topics_that_are_not_there_are_made() {
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
