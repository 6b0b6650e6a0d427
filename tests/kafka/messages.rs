//! What messages become: nodes, records, statuses, dead letters; in order, each once.

use rdkafka::message::{Headers as _, Message as _};
use serde_json::{Value, json};

use crate::brokers;
use crate::world::{NODES, Sent, World, header, key, raw, references, value};

#[test]
fn every_kind_of_message_is_done_and_told_once() {
    for broker in brokers::each() {
        let Some(world) = World::new(&broker.address) else { return };
        world.topic(&world.users(), 2);
        world.topic(&world.catalogue(), 1);
        let consumer = world.consume().joined();
        let odd = Sent {
            key: Some("odd".to_owned()),
            headers: vec![("trace".to_owned(), Some(b"x\xff".to_vec())), ("empty".to_owned(), None)],
            at: Some(1_700_000_000_000),
            ..raw("{\"domainId\": \"x\"")
        };
        world.send(
            &world.users(),
            &[
                references("g", &["a", "b", " a "]).key("acme-g"),
                references("g", &["c", "", "d"]).key("acme-g"),
                odd,
                raw(r#"{"domainId":"acme","groupId":"g","referenceIds":[]}"#),
            ],
        );
        let record = json!({ "kind": "series", "source_name": "s", "external_id": "1", "payload": { "title": "One" } });
        let refused = json!({ "kind": "series", "source_name": "s", "external_id": "2", "payload": {} });
        world.send(&world.catalogue(), &[raw(&record.to_string()), raw(&refused.to_string())]);

        let ends = world.ends(4);
        let mut told: Vec<_> = ends
            .values()
            .map(|end| {
                let number = |name: &str| end[name].as_u64().unwrap();
                let reason = end["reason"].as_str().unwrap_or_default().split(':').next().unwrap().to_owned();
                format!("{} {}/{} {reason}", end["status"].as_str().unwrap(), number("processed"), number("total"))
            })
            .collect();
        told.sort();
        assert_eq!(
            told,
            [
                "COMPLETED 3/3 ",
                "FAILED 0/0 malformed",
                "FAILED 0/0 schema",
                "FAILED 2/3 1 of the ids cannot be reference ids"
            ]
        );
        let partly = ends.values().find(|end| end["processed"] == 2).unwrap();
        assert_eq!((&partly["successList"], &partly["failedList"]), (&json!(["c", "d"]), &json!([""])));
        assert_eq!((&partly["domainId"], &partly["groupId"]), (&json!("acme"), &json!("g")));
        let keys: Vec<_> = world.read(&world.statuses()).iter().map(key).collect();
        assert_eq!(keys.iter().filter(|key| key.as_deref() == Some("acme-g")).count(), 3, "{keys:?}");
        assert_eq!(world.count(NODES), 4);
        world.until("SELECT count(*) FROM series WHERE title = 'One'", 1);
        let told = world.wait_for(&format!("{}-transfer-job-status-retrieval", world.catalogue()), 2);
        // Without a key they may be in any of the topic's partitions.
        let mut said: Vec<_> = told
            .iter()
            .map(value)
            .map(|end| [&end["successList"], &end["failedList"], &end["truncated"]].map(Value::to_string))
            .collect();
        said.sort();
        assert_eq!(said, [["[\"1\"]", "[]", "false"], ["[]", "[\"2\"]", "false"]]);

        let dead = world.wait_for(&world.dead_letters(), 3);
        assert_eq!(dead.len(), 3);
        let odd = dead.iter().find(|one| key(one).as_deref() == Some("odd")).unwrap();
        assert_eq!(odd.payload(), Some(&b"{\"domainId\": \"x\""[..]));
        assert_eq!(odd.timestamp().to_millis(), Some(1_700_000_000_000));
        let first: Vec<_> = odd.headers().unwrap().iter().take(2).map(|one| (one.key, one.value)).collect();
        assert_eq!(first, [("trace", Some(&b"x\xff"[..])), ("empty", None)]);
        assert_eq!(header(odd, "__connect.errors.topic"), Some(world.users()));
        assert_eq!(header(odd, "__connect.errors.stage").as_deref(), Some("VALUE_CONVERTER"));
        assert_eq!(header(odd, "__connect.errors.exception.class.name").as_deref(), Some("malformed"));
        for name in ["partition", "offset", "connector.name", "class.name", "exception.message"] {
            assert!(header(odd, &format!("__connect.errors.{name}")).is_some(), "{name}");
        }
        assert!(ends.contains_key(&header(odd, "parser-job-id").unwrap()));
        assert_eq!(consumer.stop(), Some(0));
    }
}

#[test]
fn the_same_message_again_changes_nothing_and_another_under_its_key_is_done() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    let one = || references("g", &["a"]).key("acme-g");
    let day = 86_400_000;
    let at = |sent: Sent, at: i64| Sent { at: Some(1_700_000_000_000 + at), ..sent };
    world.send(
        &world.users(),
        &[
            at(one(), 0),
            at(one(), 5000),
            at(references("g", &["b"]).key("acme-g"), 6000),
            // The same words a day later are meant.
            at(one(), day),
            at(one(), day + 1),
            references("last", &["z"]),
        ],
    );
    let consumer = world.consume();
    world.until("SELECT count(*) FROM matching_groups WHERE name = 'last'", 1);
    let ends = world.ends(4);
    assert_eq!(ends.len(), 4);
    assert_eq!(world.count(NODES), 3);
    // All of it once more, from the beginning: another group has committed nothing.
    assert_eq!(consumer.stop(), Some(0));
    let again = world.consume_with(&[("KAFKA_GROUP", &format!("{}b", world.name))]);
    world.send(&world.users(), &[references("end", &["y"])]);
    world.until("SELECT count(*) FROM matching_groups WHERE name = 'end'", 1);
    assert_eq!(world.ends(5).len(), 5);
    drop(again);
}

#[test]
fn messages_of_a_partition_are_done_in_their_order_and_poison_stops_none_of_them() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.catalogue(), 2);
    let mut sent = Vec::new();
    for version in 0..60 {
        for id in 0..4 {
            let record = json!({ "kind": "series", "source_name": "s", "external_id": id.to_string(),
                "payload": { "title": format!("Title {id} version {version}") } });
            sent.push(raw(&record.to_string()).to(id % 2));
        }
        // PostgreSQL refuses this one, and with it every transaction that it is in.
        if version % 20 == 10 {
            let poison = json!({ "kind": "series", "source_name": "s", "external_id": "p",
                "payload": { "title": "A\u{0}B", "description": "C\u{0}" } });
            sent.push(raw(&poison.to_string()).to(0));
            sent.push(raw("no JSON").to(1));
        }
    }
    world.send(&world.catalogue(), &sent);
    let _consumer = world.consume();
    world.until("SELECT count(*) FROM message_job WHERE status <> 'PROCESSING'", sent.len());
    let titles = world.sql("SELECT title FROM series WHERE title LIKE 'Title%' ORDER BY title");
    let titles: Vec<_> = titles.into_iter().map(|mut row| row.remove(0)).collect();
    assert_eq!(titles, ["Title 0 version 59", "Title 1 version 59", "Title 2 version 59", "Title 3 version 59"]);
    let dead = world.wait_for(&world.dead_letters(), 6);
    assert_eq!(dead.len(), 6);
    // Everything that went before is committed, poison included: a restart finds nothing to do.
    let told = world.wait_for(&format!("{}-transfer-job-status-retrieval", world.catalogue()), sent.len());
    assert_eq!(told.len(), sent.len());
    assert_eq!(told.iter().filter(|one| value(one)["status"] == "FAILED").count(), 6);
}

#[test]
fn a_topic_that_appears_later_is_found() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    let consumer = world.consume();
    consumer.says("consuming");
    let later = format!("{}later-users", world.name);
    world.topic(&later, 1);
    world.send(&later, &[references("g", &["a"])]);
    world.until(NODES, 1);
}

/// The most memory that a process has had, in bytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_hundred_thousand_small_messages_are_done_each_once_in_little_memory() {
    const MANY: usize = 100_000;
    let Some(broker) = brokers::calfkit() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 4);
    let begun = std::time::Instant::now();
    let sent: Vec<Sent> = (0..MANY)
        .map(|number| {
            references(&format!("g{}", number % 7), &[&format!("n{number}")]).key(&format!("k{}", number % 50))
        })
        .collect();
    world.send(&world.users(), &sent);
    println!("sent after {:?}", begun.elapsed());
    let consumer = world.consume();
    world.until("SELECT count(*) FROM message_job", 1);
    println!("begun after {:?}", begun.elapsed());
    world.until("SELECT count(*) FROM message_job", MANY);
    println!("done after {:?}", begun.elapsed());
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", MANY);
    println!("published after {:?}", begun.elapsed());
    let peak = peak(consumer.child.id());
    assert_eq!(world.count(NODES), MANY);
    assert_eq!(world.ends(MANY).len(), MANY);
    println!("read after {:?}; {} MiB at most", begun.elapsed(), peak >> 20);
    // The messages alone are 10 MB, the store's rows of them several times as much.
    assert!(peak < 160 << 20, "{peak} bytes");
    assert_eq!(consumer.stop(), Some(0));
}

/// A connection keeps its plans. Those of a small and well known database must not read all of a large one for each
/// message.
#[test]
fn what_a_message_costs_does_not_grow_with_what_is_stored() {
    const MESSAGES: usize = 3000;
    /// Rows that may be looked at for each that is written.
    const READ: u64 = 12;
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_BATCH", "20");
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["first"])]);
    assert_eq!(world.consume().joined().stop_after(|| drop(world.ends(1))), Some(0));
    world.sql("VACUUM ANALYZE");
    let tables = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema()";
    for table in world.sql(tables) {
        world.sql(&format!("ALTER TABLE {} SET (autovacuum_enabled = off)", table[0]));
    }
    world.sql("SELECT pg_stat_reset()");
    let messages: Vec<_> = (0..MESSAGES).map(|at| references("g", &[&format!("a{at}"), &format!("b{at}")])).collect();
    world.send(&world.users(), &messages);
    assert_eq!(world.consume().stop_after(|| drop(world.ends(MESSAGES + 1))), Some(0));
    // The server counts when its sessions end.
    world.until("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'nodes'", 2 * MESSAGES);
    let read = "SELECT relname, n_tup_ins + n_tup_upd, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) \
                FROM pg_stat_user_tables WHERE n_tup_ins > 100";
    let tables = world.sql(read);
    let number = |text: &String| text.parse::<u64>().unwrap();
    assert!(tables.iter().any(|row| row[0] == "message_job"), "{tables:?}");
    let much: Vec<_> = tables.iter().filter(|row| number(&row[2]) > number(&row[1]) * READ).collect();
    assert!(much.is_empty(), "written, read: {much:?} of {tables:?}");
}

/// What was said last under a key stands, also when it was said before; and however often all of it comes again.
#[test]
fn a_word_that_is_taken_back_is_done_again() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.catalogue(), 1);
    let says = |title: &str| {
        let record = json!({ "kind": "series", "source_name": "s", "external_id": "1", "payload": { "title": title } });
        raw(&record.to_string()).key("s-1")
    };
    // The second and the fourth say nothing new; the third and the fifth do.
    let titles = ["One", "One", "Two", "Two", "One", "Three", "One"];
    world.send(&world.catalogue(), &titles.map(says));
    let told = format!("{}-transfer-job-status-retrieval", world.catalogue());
    let consumer = world.consume();
    assert_eq!(world.wait_for(&told, 5).len(), 5);
    assert_eq!(consumer.stop(), Some(0));
    let title = "SELECT title FROM series";
    assert_eq!(world.sql(title), [["One"]]);
    for (batch, more) in [("500", 6), ("2", 7)] {
        let group = format!("{}-{batch}", world.name);
        let again = world.consume_with(&[("KAFKA_GROUP", &group), ("KAFKA_BATCH", batch)]);
        world.send(&world.catalogue(), &[raw(&format!("end {batch}"))]);
        assert_eq!(world.wait_for(&told, more).len(), more);
        assert_eq!(again.stop(), Some(0));
        assert_eq!(world.sql(title), [["One"]]);
    }
}

/// A sender that takes nanoseconds for milliseconds.
#[test]
fn a_time_that_is_none_is_in_nobodys_way() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    let at = |sent: Sent, at: i64| Sent { at: Some(at), ..sent };
    let (nanoseconds, last) = (1_764_180_000_000_000_000, i64::MAX);
    world.send(
        &world.users(),
        &[
            at(references("g", &["a"]), nanoseconds),
            at(raw("poison").key("p"), nanoseconds),
            at(references("g", &["b"]).key("k"), last),
            references("g", &["c"]),
        ],
    );
    let consumer = world.consume();
    assert_eq!(world.ends(4).len(), 4);
    assert_eq!(world.count(NODES), 3);
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!((key(&dead[0]).as_deref(), dead[0].timestamp().to_millis()), (Some("p"), Some(nanoseconds)));
    assert_eq!(consumer.stop(), Some(0));
}

/// The same on the embedded store, which has one writer.
#[test]
fn one_machine_needs_no_server() {
    let Some(broker) = brokers::noida() else { return };
    let world = World::on(&broker.address, "");
    world.topic(&world.users(), 2);
    world.topic(&world.catalogue(), 1);
    std::fs::write(world.path("a.csv"), "id,group\nf1,file\nf2,file\n").unwrap();
    let record = |title: &str| {
        let record = json!({ "kind": "series", "source_name": "s", "external_id": "1", "payload": { "title": title } });
        raw(&record.to_string()).key("s-1")
    };
    let send = || {
        let mut sent: Vec<_> =
            (0..200).map(|at| references("g", &[&format!("n{at}")]).key(&format!("k{at}"))).collect();
        sent.extend([crate::world::file("a.csv").key("file"), raw("poison").key("poison")]);
        world.send(&world.users(), &sent);
    };
    send();
    world.send(&world.catalogue(), &["One", "Two", "One"].map(record));
    let consumer = world.consume();
    let done = world.ends(202);
    assert_eq!(done.values().filter(|end| end["status"] == "COMPLETED").count(), 201);
    let told = format!("{}-transfer-job-status-retrieval", world.catalogue());
    assert_eq!(world.wait_for(&told, 3).len(), 3);
    // Once more: nobody has anything to say about it.
    send();
    world.send(&world.users(), &[references("end", &["n0"])]);
    assert_eq!(world.ends(203).len(), 203);
    assert_eq!(consumer.stop(), Some(0));
    assert_eq!(world.wait_for(&world.dead_letters(), 1).len(), 1);
    let file = rusqlite::Connection::open(world.path("state/catalog.db")).unwrap();
    let nodes: u32 = file.query_row("SELECT count(*) FROM nodes", [], |row| row.get(0)).unwrap();
    let title: String = file.query_row("SELECT title FROM series", [], |row| row.get(0)).unwrap();
    assert_eq!((nodes, title.as_str()), (203, "One"));
}
