//! What is seen of a consumer: its log says of every message which one it is about.

use serde_json::Value;

use crate::brokers;
use crate::world::{World, raw, references};

#[test]
fn every_line_about_a_message_says_which_one() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["n1"]), raw("poison"), references("g", &["n2"])]);
    let consumer = world.consume_with(&[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug"), ("KAFKA_INSTANCE_ID", "one")]);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 4);
    let log = consumer.log();
    assert_eq!(consumer.stop(), Some(0));
    let jobs = world.sql("SELECT id FROM message_job ORDER BY position");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let about = |message: &str| -> Vec<(String, String, i64, i64)> {
        let found = lines.iter().filter(|line| line["message"] == message);
        let mut found: Vec<_> = found
            .map(|line| {
                let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name}: {line}")).to_owned();
                let number = |name: &str| line[name].as_i64().unwrap_or_else(|| panic!("{name}: {line}"));
                (text("job"), text("topic"), number("partition"), number("offset"))
            })
            .collect();
        found.sort_by_key(|line| line.3);
        found
    };
    let expected = |offset: i64| (jobs[usize::try_from(offset).unwrap()][0].clone(), world.users(), 0, offset);
    assert_eq!(about("dead letter"), [expected(1)]);
    assert_eq!(about("message done"), [expected(0), expected(1), expected(2)]);
}
