//! Errors that real brokers give at bad moments, injected by the client library's own mock of a cluster.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey as Key, RDKafkaRespErr as Error};

use crate::world::{NODES, World, raw, references};

#[test]
fn errors_of_brokers_are_survived_and_nothing_is_told_twice() {
    let cluster = MockCluster::new(3).unwrap();
    let Some(world) = World::new(&cluster.bootstrap_servers()) else { return };
    cluster.create_topic(&world.users(), 2, 3).unwrap();
    cluster.create_topic(&world.statuses(), 2, 3).unwrap();
    cluster.create_topic(&world.dead_letters(), 1, 3).unwrap();
    let mut sent: Vec<_> = (0..200).map(|number| references("g", &[&format!("n{number}")])).collect();
    sent.insert(50, raw("poison"));
    world.send(&world.users(), &sent);

    // What the first requests of each sort get; then all is well.
    let moved = Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    let late = Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
    let few = Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    let away = Error::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
    let elsewhere = Error::RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    let loading = Error::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
    cluster.request_errors(Key::FindCoordinator, &[away, away]);
    cluster.request_errors(Key::JoinGroup, &[loading, elsewhere]);
    cluster.request_errors(Key::Heartbeat, &[elsewhere, Error::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS]);
    cluster.request_errors(Key::OffsetCommit, &[late, elsewhere, late]);
    cluster.request_errors(Key::Fetch, &[moved, Error::RD_KAFKA_RESP_ERR_UNKNOWN, moved]);
    // Only errors after which nothing is written: the mock writes nothing when it gives one, but goes on counting, so after
    // "may have been written" it would take what is sent again for written.
    cluster.request_errors(Key::Produce, &[moved, few, moved]);

    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 202);
    assert_eq!(world.count(NODES), 200);
    assert_eq!(world.ends(201).len(), 201);
    assert_eq!(world.read(&world.dead_letters()).len(), 1);

    // A broker after the other is away for a while.
    for broker in 1..=3 {
        cluster.broker_down(broker).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        cluster.broker_up(broker).unwrap();
        world.send(&world.users(), &[references("g", &[&format!("m{broker}")])]);
    }
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 205);
    assert_eq!(world.ends(204).len(), 204);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn what_the_broker_refuses_is_kept_and_published_when_it_can_be() {
    let cluster = MockCluster::new(1).unwrap();
    let Some(world) = World::new(&cluster.bootstrap_servers()) else { return };
    cluster.create_topic(&world.users(), 1, 1).unwrap();
    cluster.create_topic(&world.statuses(), 1, 1).unwrap();
    world.send(&world.users(), &[references("g", &["n"])]);
    cluster.request_errors(Key::Produce, &[Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let consumer = world.consume();
    let resting = "SELECT count(*) FROM message_outbox WHERE refused IS NOT NULL AND published_at IS NULL \
                   AND owned_until > now() + interval '50 minutes'";
    world.until(resting, 1);
    assert_eq!(world.read(&world.statuses()).len(), 0);
    world.sql("UPDATE message_outbox SET owned_until = now() - interval '1 second'");
    assert_eq!(world.ends(1).len(), 1);
    assert_eq!(consumer.stop(), Some(0));
}
