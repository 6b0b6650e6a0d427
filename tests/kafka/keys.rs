//! Messages of one key in two partitions, as after a topic got more of them: each is done, whichever comes first.

use crate::brokers;
use crate::world::{NODES, World, references};

#[test]
fn a_key_that_another_partition_takes_meanwhile_costs_no_message() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    // It is no try that failed.
    world.set("KAFKA_TRIES", "1");
    world.topic(&world.users(), 2);
    world.send(&world.users(), &[references("g", &["first"]).key("k").to(0)]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    let mark = world.sql("SELECT mark FROM message_job")[0][0].clone();
    // The second one has seen that the first has the key. Before it takes it, a third does.
    let meanwhile = format!(
        "BEGIN; LOCK TABLE message_job IN SHARE MODE; \
         DO $$ BEGIN FOR turn IN 1..6000 LOOP PERFORM pg_sleep(0.02); EXIT WHEN EXISTS (SELECT 1 FROM pg_locks \
         WHERE NOT granted AND relation = 'message_job'::regclass); END LOOP; END $$; \
         INSERT INTO message_job (id, mark, content, topic, partition, position, kind, status, sent_at, created_at, updated_at) \
         SELECT gen_random_uuid(), 'third', 'other words', topic, 2, 0, kind, status, sent_at, now(), now() FROM message_job; \
         UPDATE message_job SET mark = 'at:' || topic || '/0/0/' || CAST(extract(epoch FROM sent_at) * 1000 AS bigint) \
         WHERE mark = '{mark}'; \
         UPDATE message_job SET mark = '{mark}' WHERE mark = 'third'; COMMIT"
    );
    std::thread::scope(|scope| {
        let third = scope.spawn(|| world.sql(&meanwhile));
        world.until("SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND relation = 'message_job'::regclass", 1);
        world.send(&world.users(), &[references("g", &["second"]).key("k").to(1)]);
        third.join().unwrap();
    });
    let ends = world.ends(2);
    assert!(ends.values().all(|end| end["status"] == "COMPLETED"), "{ends:?}");
    assert_eq!((world.count(NODES), world.read(&world.dead_letters()).len()), (2, 0));
    assert_eq!(world.count("SELECT count(DISTINCT mark) FROM message_job"), 3);
    assert_eq!(consumer.stop(), Some(0));
}
