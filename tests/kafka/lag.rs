//! Lag: told by whoever has a partition, and right while nothing of it is fetched.

use std::net::TcpListener;

use crate::brokers;
use crate::probes::Probed;
use crate::world::{Sent, World, file, references};

fn behind(count: usize, partition: i32) -> Vec<Sent> {
    (0..count).map(|number| references("g", &[&format!("p{partition}n{number}")]).to(partition)).collect()
}

#[test]
fn lag_goes_with_its_partition_and_grows_while_that_is_paused() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    world.set("IMPORT_HOSTS", &address);
    world.set(
        "KAFKA_PROPERTIES",
        "session.timeout.ms=6000,heartbeat.interval.ms=500,topic.metadata.refresh.interval.ms=300,statistics.interval.ms=200",
    );
    world.topic(&world.users(), 2);
    for partition in 0..2 {
        // Something is committed of each.
        world.send(&world.users(), &[references("g", &["before"]).to(partition)]);
        world.send(&world.users(), &[file(&format!("http://{address}/{partition}.csv")).to(partition)]);
        world.send(&world.users(), &behind(50, partition));
    }
    let is = |probed: &Probed, partition: i32, lag: usize| {
        let line = format!("parser_kafka_lag{{topic=\"{}\",partition=\"{partition}\"}} {lag}", world.users());
        probed.get("/metrics").1.lines().any(|known| known == line)
    };
    let one = Probed::begin(&world);
    one.until("behind", |one| is(one, 0, 51) && is(one, 1, 51));

    let two = Probed::begin(&world);
    two.until("behind", |two| is(two, 0, 51) || is(two, 1, 51));
    let (gone, kept) = if is(&two, 0, 51) { (0, 1) } else { (1, 0) };
    one.until("behind with what it has kept", |one| is(one, kept, 51));
    // Both partitions wait for their files: what comes now is not fetched.
    for partition in 0..2 {
        world.send(&world.users(), &behind(10, partition));
    }
    one.until("behind with what came", |one| is(one, kept, 61));
    two.until("behind with what came", |two| is(two, gone, 61));
    // What it has given away is no more its own, however often it has been looked at since.
    assert!(is(&one, gone, 0), "{}", one.get("/metrics").1);
}
