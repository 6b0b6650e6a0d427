//! Brokers that do not take what is to be told: what may be taken later waits, what never will be is said.

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey as Key, RDKafkaRespErr as Error};

use crate::brokers;
use crate::probes::Probed;
use crate::world::{World, raw, references};

const PUBLISHED: &str = "SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL";

#[test]
fn what_a_permission_is_missing_for_is_published_once_it_is_given() {
    let cluster = MockCluster::new(1).unwrap();
    let Some(world) = World::new(&cluster.bootstrap_servers()) else { return };
    for topic in [world.users(), world.statuses(), world.dead_letters()] {
        cluster.create_topic(&topic, 1, 1).unwrap();
    }
    let probed = Probed::begin(&world);
    probed.until("ready", |probed| probed.get("/readyz").0 == 200);
    let has = |line: &str| probed.get("/metrics").1.lines().any(|known| known == line);
    let value = |name: &str| -> f64 {
        let (_, told) = probed.get("/metrics");
        let line = told.lines().find(|line| line.rsplit_once(' ').is_some_and(|(known, _)| known == name));
        line.unwrap_or_else(|| panic!("{name}: {told}")).rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    // They are there before anything happens.
    for kind in ["status", "dead_letter"] {
        for what in ["failures", "refused"] {
            assert!(has(&format!("parser_kafka_produce_{what}_total{{kind=\"{kind}\"}} 0")));
        }
    }
    world.send(&world.users(), &[references("g", &["first"])]);
    world.until(PUBLISHED, 1);
    // One of them for each letter, and one more for one of them.
    let (denied, policy) =
        (Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Error::RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    send_then_refuse(&world, &cluster, "junk", &[denied, denied, policy]);
    world.until(PUBLISHED, 3);
    assert_eq!(world.read(&world.dead_letters()).len(), 1);
    assert_eq!(world.ends(2).len(), 2);
    let failures = |kind: &str| value(&format!("parser_kafka_produce_failures_total{{kind=\"{kind}\"}}"));
    assert!(failures("status") >= 1.0 && failures("dead_letter") >= 1.0);
    assert!(value("kafka_send_failures_total") >= 3.0 && value("kafka_dlq_send_failures_total") >= 1.0);
    assert!(value("kafka_send_duration_seconds_count") >= 3.0 && value("kafka_dlq_send_duration_seconds_count") >= 1.0);
    assert!(has("parser_kafka_produce_refused_total{kind=\"dead_letter\"} 0"));

    let before = value("kafka_dlq_send_failures_total");
    let large = Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    send_then_refuse(&world, &cluster, "more junk", &[large, large]);
    world.until("SELECT count(*) FROM message_outbox WHERE refused IS NOT NULL", 2);
    probed.until("said", |_| has("parser_kafka_produce_refused_total{kind=\"dead_letter\"} 1"));
    assert!(value("kafka_dlq_send_failures_total") > before);
}

/// A message whose two letters get these answers.
fn send_then_refuse(
    world: &World,
    cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>,
    text: &str,
    errors: &[Error],
) {
    // Nothing is worked on before the errors are in place: sending the message is a request like those of the letters.
    let lock = "BEGIN; LOCK TABLE message_job IN EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT";
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| world.sql(lock));
        world.until(
            "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'message_job'::regclass",
            1,
        );
        world.send(&world.users(), &[raw(text)]);
        cluster.request_errors(Key::Produce, errors);
        locking.join().unwrap();
    });
}

#[test]
fn a_message_of_megabytes_that_cannot_be_read_is_a_dead_letter() {
    let Some(broker) = brokers::calfkit() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.properties.push(("message.max.bytes".to_owned(), "10000000".to_owned()));
    world.topic(&world.users(), 1);
    // More than what the client library sends by default.
    let large = "junk ".repeat(600_000);
    world.send(&world.users(), &[raw(&large), references("g", &["a"])]);
    let consumer = world.consume();
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!(rdkafka::Message::payload(&dead[0]).map(<[u8]>::len), Some(large.len()));
    assert_eq!(world.ends(2).len(), 2);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn a_topic_that_may_not_be_seen_is_not_an_empty_one() {
    let cluster = MockCluster::new(1).unwrap();
    let Some(world) = World::new(&cluster.bootstrap_servers()) else { return };
    let dead = world.dead_letters();
    cluster.create_topic(&dead, 1, 1).unwrap();
    world.send(&dead, &[raw("somebody else's")]);
    assert_eq!(world.json(&["dlq", "list", "--json"])["count"], 1);

    cluster.topic_error(&dead, Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let refused = world.run(&["dlq", "list"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("hint:"), "{said}");

    // A broker that has just started says this of topics that it has.
    cluster.topic_error(&dead, Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let log = world.path("log-dlq");
    let mut command = world.command(&["dlq", "list", "--json"]);
    command.env("LOG_LEVEL", "debug").stderr(std::fs::File::create(&log).unwrap());
    let child = command.spawn().unwrap();
    let started = std::time::Instant::now();
    while !std::fs::read_to_string(&log).unwrap().contains("asking for a topic again") {
        assert!(started.elapsed() < crate::world::DEADLINE, "never asked again: {}", world.logs());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    cluster.topic_error(&dead, Error::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let listed = child.wait_with_output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["count"], 1, "{}", world.logs());
    // What is not there at all is empty.
    assert_eq!(world.json(&["dlq", "list", "--json", "--group", "nobody"])["count"], 0);
}
