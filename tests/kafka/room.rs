//! What takes long or is in the way keeps nothing else from going on, and loses nothing of what waits behind it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::brokers;
use crate::world::{NODES, Sent, World, header, references};

/// An HTTP server that answers nobody until it is told to; then everybody with the same file.
struct Silent {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    speaks: Arc<AtomicBool>,
}

impl Silent {
    fn with(content: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, speaks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (heard, may) = (Arc::clone(&asked), Arc::clone(&speaks));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, may) = (Arc::clone(&heard), Arc::clone(&may));
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let first = lines.next().unwrap_or_default();
                    while lines.next().is_some_and(|line| !line.is_empty()) {}
                    heard.fetch_add(1, Ordering::SeqCst);
                    while !may.load(Ordering::SeqCst) {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                    }
                    let body = if first.starts_with("HEAD") { "" } else { content };
                    let length = content.len();
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\nConnection: close");
                    // Whoever has given up does not hear it.
                    let _ = write!(&stream, "{head}\r\n\r\n{body}");
                });
            }
        });
        Self { address, asked, speaks }
    }
}

fn numbered(group: &str, count: usize, partition: i32) -> Vec<Sent> {
    (0..count).map(|number| references(group, &[&format!("{group}{number}")]).to(partition)).collect()
}

#[test]
fn files_that_hang_hold_up_no_messages_of_other_partitions() {
    for broker in brokers::each() {
        let Some(mut world) = World::new(&broker.address) else { return };
        let silent = Silent::with("id,group\nf1,file\nf2,file\n");
        world.set("IMPORT_HOSTS", &silent.address.to_string());
        // Less than what waits behind the files.
        world.set("KAFKA_MAX_IN_FLIGHT", "20");
        world.set("KAFKA_BATCH", "10");
        world.topic(&world.users(), 3);
        for partition in 0..2 {
            let mut sent =
                vec![crate::world::file(&format!("http://{}/{partition}.csv", silent.address)).to(partition)];
            sent.extend(numbered(&format!("behind{partition}"), 60, partition));
            world.send(&world.users(), &sent);
        }
        let consumer = world.consume().joined();
        let started = std::time::Instant::now();
        while silent.asked.load(Ordering::SeqCst) < 2 {
            assert!(started.elapsed() < crate::world::DEADLINE, "the files are not asked for: {}", world.logs());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        world.send(&world.users(), &numbered("free", 200, 2));
        world.until("SELECT count(*) FROM nodes WHERE reference_id LIKE 'free%'", 200);
        // Nothing of a partition before what it is behind.
        assert_eq!(world.count("SELECT count(*) FROM nodes WHERE reference_id LIKE 'behind%'"), 0);
        silent.speaks.store(true, Ordering::SeqCst);
        world.until("SELECT count(*) FROM message_job WHERE status = 'COMPLETED'", 322);
        assert_eq!(world.count(NODES), 322);
        assert_eq!(world.ends(322).len(), 322);
        // In their order: a message is done in no earlier transaction than the one before it.
        let order = "SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER (PARTITION BY partition ORDER BY \
                     position) AS early FROM message_job) AS t WHERE early";
        assert_eq!(world.count(order), 0);
        assert_eq!(consumer.stop(), Some(0));
    }
}

#[test]
fn members_that_come_and_go_while_nothing_can_be_done_cost_no_message() {
    let Some(broker) = brokers::calfkit() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    // A member is full at once, and stops fetching.
    world.set("KAFKA_MAX_IN_FLIGHT", "4");
    world.set("KAFKA_BATCH", "2");
    world.topic(&world.users(), 4);
    world.send(&world.users(), &[references("before", &["x"])]);
    let one = world.consume().joined();
    world.until("SELECT count(*) FROM message_job", 1);
    let sent: Vec<_> = (0..4).flat_map(|partition| numbered(&format!("p{partition}n"), 100, partition)).collect();
    std::thread::scope(|scope| {
        let lock = "BEGIN; LOCK TABLE message_job IN EXCLUSIVE MODE; SELECT pg_sleep(6); COMMIT";
        let locking = scope.spawn(|| world.sql(lock));
        world.until(
            "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'message_job'::regclass",
            1,
        );
        world.send(&world.users(), &sent);
        for _ in 0..2 {
            let other = world.consume();
            other.says("partitions assigned");
            assert_eq!(other.stop(), Some(0));
        }
        locking.join().unwrap();
    });
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 401);
    assert_eq!(world.count(NODES), 401);
    assert_eq!(world.ends(401).len(), 401);
    assert_eq!(one.stop(), Some(0));
}

#[test]
fn what_the_store_holds_damaged_is_a_dead_letter_and_is_in_nobodys_way() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["first"])]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    // As PostgreSQL says of a page that it cannot read.
    world.sql(
        "CREATE FUNCTION rotten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'invalid page in block 7' USING ERRCODE = 'XX001'; END $$",
    );
    world.sql(
        "CREATE TRIGGER rotten BEFORE INSERT ON nodes FOR EACH ROW WHEN (NEW.reference_id = 'rotten') \
         EXECUTE FUNCTION rotten()",
    );
    // A letter that somebody left, and that nobody can read.
    world.sql(
        "INSERT INTO message_outbox SELECT id, 'dead_letter', 'x', NULL, NULL, 'no JSON', NULL, 'gone', \
         '2000-01-01', '2000-01-01' FROM message_job",
    );
    let ids = ["a", "rotten", "b"];
    world.send(&world.users(), &ids.map(|id| references("g", &[id])));
    let ends = world.ends(4);
    assert_eq!(ends.values().filter(|end| end["status"] == "COMPLETED").count(), 3);
    let dead = world.wait_for(&world.dead_letters(), 1);
    let said = header(&dead[0], "__connect.errors.exception.message").unwrap();
    assert!(said.contains("invalid page in block 7"), "{said}");
    assert_eq!(world.count(NODES), 3);
    world.until("SELECT count(*) FROM message_outbox WHERE refused LIKE '%headers of a letter%'", 1);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn what_collides_is_tried_three_times_and_only_then_given_up() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 2);
    world.send(&world.users(), &[references("g", &["first"]).to(0)]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    // One collides twice and one for ever, as PostgreSQL says of a deadlock. What a sequence has counted stays counted.
    world.sql("CREATE SEQUENCE twice; CREATE SEQUENCE always");
    world.sql(
        "CREATE FUNCTION collides() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.reference_id = 'always' AND nextval('always') > 0 OR NEW.reference_id = 'twice' AND nextval('twice') <= 2 \
         THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$",
    );
    world.sql("CREATE TRIGGER collides BEFORE INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION collides()");
    world.send(&world.users(), &[references("g", &["twice"]).to(0)]);
    let beside = ["a", "always", "b"].map(|id| references("g", &[id]).to(1));
    world.send(&world.users(), &beside);
    let ends = world.ends(5);
    assert_eq!(ends.values().filter(|end| end["status"] == "COMPLETED").count(), 4);
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!(dead.len(), 1);
    assert_eq!(header(&dead[0], "__connect.errors.exception.class.name").as_deref(), Some("conflict"));
    assert_eq!(header(&dead[0], "parser-attempts").as_deref(), Some("3"));
    for name in ["twice", "always"] {
        assert_eq!(world.count(&format!("SELECT last_value FROM {name}")), 3, "{name}");
    }
    assert_eq!(world.count(NODES), 4);
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn a_member_that_is_killed_before_its_work_stands_has_committed_nothing_of_it() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_INSTANCE_ID", "one");
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("before", &["x"])]);
    let mut killed = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    std::thread::scope(|scope| {
        let lock = "BEGIN; LOCK TABLE message_job IN EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT";
        let locking = scope.spawn(|| world.sql(lock));
        world.until(
            "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'message_job'::regclass",
            1,
        );
        world.send(&world.users(), &numbered("n", 20, 0));
        // Long enough for any offset to be committed.
        world.until(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
             AND now() - query_start > interval '1 second'",
            1,
        );
        killed.kill();
        locking.join().unwrap();
    });
    let next = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 21);
    assert_eq!(world.count(NODES), 21);
    assert_eq!(world.ends(21).len(), 21);
    assert_eq!(next.stop(), Some(0));
}

#[test]
fn the_job_of_a_file_that_collides_is_tried_three_times_and_only_then_given_up() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["first"])]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    std::fs::write(world.path("a.csv"), "id,group\na,twice\n").unwrap();
    // One collides twice as it begins and twice as it ends; the other thrice as it begins.
    world.sql("CREATE SEQUENCE begins; CREATE SEQUENCE ends; CREATE SEQUENCE never");
    world.sql(
        "CREATE FUNCTION collides() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.group_name = 'never' AND nextval('never') <= 3 \
         OR NEW.group_name = 'twice' AND TG_OP = 'INSERT' AND nextval('begins') <= 2 \
         OR NEW.group_name = 'twice' AND TG_OP = 'UPDATE' AND nextval('ends') <= 2 \
         THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$",
    );
    world
        .sql("CREATE TRIGGER collides BEFORE INSERT OR UPDATE ON message_job FOR EACH ROW EXECUTE FUNCTION collides()");
    let of = |group: &str| {
        let value = format!(r#"{{"domainId":"acme","groupId":"{group}","filePath":"a.csv","fileName":"a.csv"}}"#);
        Sent { value, ..Sent::default() }
    };
    world.send(&world.users(), &[of("twice"), of("never")]);
    let ends = world.ends(3);
    let of_group = |group: &str| ends.values().find(|end| end["groupId"] == group).unwrap();
    assert_eq!((&of_group("twice")["status"], &of_group("twice")["processed"]), (&"COMPLETED".into(), &1.into()));
    assert_eq!(of_group("never")["status"], "FAILED");
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!(dead.len(), 1);
    assert_eq!(header(&dead[0], "__connect.errors.exception.class.name").as_deref(), Some("conflict"));
    assert_eq!(header(&dead[0], "parser-attempts").as_deref(), Some("3"));
    assert_eq!(consumer.stop(), Some(0));
}
