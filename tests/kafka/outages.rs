//! Broker and store go away and come back; consumers come and go: nothing is lost, nothing is done twice.

use std::time::{Duration, Instant};

use crate::brokers::{self, Broker, Kind};
use crate::cluster::Cluster;
use crate::world::{NODES, Sent, World, file, references};

fn numbered(from: usize, to: usize) -> Vec<Sent> {
    (from..to).map(|number| references("g", &[&format!("n{number}")]).key(&format!("k{}", number % 40))).collect()
}

#[test]
fn a_broker_that_restarts_is_waited_for() {
    let Some(mut broker) = Broker::start(Kind::Noida) else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_INSTANCE_ID", "one");
    world.topic(&world.users(), 2);
    world.send(&world.users(), &numbered(0, 300));
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 300);
    broker.stop();
    assert!(broker.launch());
    world.send(&world.users(), &numbered(300, 600));
    world.until("SELECT count(*) FROM message_job", 600);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 600);
    assert_eq!(world.count(NODES), 600);
    assert_eq!(world.ends(600).len(), 600);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn a_broker_that_freezes_is_waited_for() {
    let Some(broker) = Broker::start(Kind::Calfkit) else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 2);
    world.send(&world.users(), &numbered(0, 3000));
    let _consumer = world.consume();
    world.until("SELECT count(*) FROM message_job", 500);
    broker.signal("STOP");
    std::thread::sleep(Duration::from_secs(4));
    broker.signal("CONT");
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 3000);
    assert_eq!(world.ends(3000).len(), 3000);
    assert_eq!(world.count(NODES), 3000);
}

#[test]
fn a_store_that_restarts_is_waited_for() {
    let Some(broker) = brokers::noida() else { return };
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let world = World::on(&broker.address, &database.url);
    world.topic(&world.users(), 3);
    let rows: Vec<_> = (0..3000).map(|row| format!("f{row},file")).collect();
    std::fs::write(world.path("file.csv"), format!("id,group\n{}\n", rows.join("\n"))).unwrap();
    let mut sent: Vec<_> = numbered(0, 3000).into_iter().map(|one| one.to(0)).collect();
    sent.push(file("file.csv").to(2));
    world.send(&world.users(), &sent);
    let consumer = world.consume_with(&[("IMPORT_BULK_ROWS", "50"), ("IMPORT_BULK_IN_FLIGHT", "1")]);
    world.until("SELECT count(*) FROM message_job", 500);
    world.until("SELECT count(*) FROM nodes WHERE reference_id LIKE 'f%'", 100);
    for round in 0..3 {
        cluster.control(&["-m", "immediate", "restart"]);
        world.send(&world.users(), &numbered(3000 + round * 200, 3200 + round * 200));
    }
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 3601);
    assert_eq!(world.ends(3601).len(), 3601);
    assert_eq!(world.count(NODES), 6600);
    assert_eq!(world.read(&world.dead_letters()).len(), 0);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn consumers_that_come_and_go_lose_nothing_and_do_nothing_twice() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 4);
    let one = world.consume().joined();
    let mut sent = 0;
    for round in 0..3 {
        let other = world.consume();
        world.send(&world.users(), &numbered(sent, sent + 500));
        sent += 500;
        other.says("partitions assigned");
        world.send(&world.users(), &numbered(sent, sent + 500));
        sent += 500;
        if round < 2 {
            assert_eq!(other.stop(), Some(0));
        } else {
            // At last the first goes and the other has all.
            drop(one.log());
            world.until("SELECT count(*) FROM message_job", sent - 900);
            assert_eq!(other.stop(), Some(0));
        }
    }
    let started = Instant::now();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", sent);
    assert_eq!(world.ends(sent).len(), sent, "after {:?}", started.elapsed());
    assert_eq!(world.count(NODES), sent);
    assert_eq!(one.stop(), Some(0));
}

#[test]
fn a_store_that_is_away_at_the_start_is_waited_for() {
    let Some(broker) = brokers::noida() else { return };
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let world = World::on(&broker.address, &database.url);
    world.topic(&world.users(), 1);
    world.send(&world.users(), &numbered(0, 3));
    cluster.control(&["-m", "immediate", "stop"]);
    let (consumer, impatient) = (world.consume(), world.consume());
    consumer.says("the store is away");
    impatient.says("the store is away");
    // Waiting is no reason not to end.
    assert_eq!(impatient.stop(), Some(0));
    cluster.control(&["-m", "fast", "restart"]);
    assert_eq!(world.ends(3).len(), 3);
    assert_eq!(consumer.stop(), Some(0));
}
