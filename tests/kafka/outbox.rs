//! Killed at each point between the store and the broker: nothing is lost, nothing is told twice.

use std::os::unix::process::ExitStatusExt as _;

use crate::brokers;
use crate::world::{NODES, Sent, World, raw, references};

const SIGABRT: i32 = 6;

#[test]
fn a_crash_between_store_and_broker_neither_loses_nor_repeats_a_status() {
    let Some(broker) = brokers::noida() else { return };
    let points = [
        ("messages.batch.before_commit", 2),
        ("messages.batch.after_commit", 2),
        // Acknowledged by the broker, not marked in the store.
        ("messages.mark.before_commit", 1),
        ("messages.mark.after_commit", 1),
    ];
    std::thread::scope(|scope| {
        for (point, hit) in points {
            scope.spawn(move || crash_at(&broker.address, point, hit));
        }
    });
}

fn crash_at(brokers: &str, point: &str, hit: usize) {
    let Some(mut world) = World::new(brokers) else { return };
    // A lasting name: a restart has its partitions at once, and so has it on brokers that never put out the dead.
    world.set("KAFKA_INSTANCE_ID", "one");
    world.set("KAFKA_BATCH", "10");
    world.topic(&world.users(), 1);
    let mut sent: Vec<Sent> = (0..30).map(|number| references("g", &[&format!("n{number}")])).collect();
    sent.insert(7, raw("poison"));
    world.send(&world.users(), &sent);
    let mut crashing = world.consume_with(&[("PARSER_CRASH_AT", &format!("{point}={hit}"))]);
    assert_eq!(crashing.child.wait().unwrap().signal(), Some(SIGABRT), "{point}: {}", world.logs());
    let _consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 32);
    assert_eq!(world.ends(31).len(), 31, "{point}");
    assert_eq!(world.read(&world.dead_letters()).len(), 1, "{point}");
    assert_eq!(world.count(NODES), 30, "{point}");
}
