//! Which topics are consumed: those that the patterns match, and nothing that is told.

use crate::brokers;
use crate::world::{World, raw, references};

#[test]
fn a_pattern_that_matches_the_dead_letters_is_refused() {
    let Some(world) = World::new("127.0.0.1:1") else { return };
    let refused = world.run(&["consume", "--topics", ".*"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("matches the dead-letter topic") && said.contains("hint:"), "{said}");
}

#[test]
fn what_is_told_is_not_consumed_whatever_the_pattern_matches() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    let dead = format!("dead.{}", world.name);
    world.set("KAFKA_INSTANCE_ID", "one");
    world.set("KAFKA_TOPICS", &format!("{}.*", world.name));
    world.set("KAFKA_DEAD_LETTER_TOPIC", &dead);
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["a"]), raw("junk")]);
    let consumer = world.consume();
    world.wait_for(&dead, 1);
    assert_eq!(world.ends(2).len(), 2);
    // A topic that is made after the status topic is found not before that: whoever reads this one has seen that one.
    let later = format!("{}-later", world.name);
    world.topic(&later, 1);
    world.send(&later, &[references("g", &["b"])]);
    world.until(&format!("SELECT count(*) FROM message_job WHERE topic = '{later}'"), 1);
    world.send(&world.users(), &[references("g", &["c"])]);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 5);
    let mut expected = vec![later, world.users()];
    expected.sort();
    assert_eq!(world.sql("SELECT DISTINCT topic FROM message_job ORDER BY topic").concat(), expected);
    assert_eq!(consumer.stop(), Some(0));
}
