//! Files that messages name: imported whole, whoever dies meanwhile.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::brokers;
use crate::shelf::Shelf;
use crate::world::{NODES, World, file, header, key};

pub(crate) fn rows(group: &str, count: usize) -> String {
    let mut text = "reference_id,group,type,name\n".to_owned();
    for row in 0..count {
        writeln!(text, "{group}r{row},{group},USER,Name {row}").unwrap();
    }
    text
}

#[test]
fn a_consumer_that_is_killed_in_mid_file_leaves_nothing_undone_and_nothing_done_twice() {
    const ROWS: usize = 12_000;
    let Some(broker) = brokers::calfkit() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("IMPORT_BULK_ROWS", "200");
    world.topic(&world.users(), 4);
    for number in 0..4 {
        std::fs::write(world.path(&format!("f{number}.csv")), rows(&format!("g{number}"), ROWS)).unwrap();
    }
    let mut one = world.consume().joined();
    let two = world.consume().joined();
    let files: Vec<_> = (0..4).map(|number| file(&format!("f{number}.csv")).to(number)).collect();
    world.send(&world.users(), &files);
    world.until(NODES, 2000);
    one.kill();
    assert!(world.count(NODES) < 4 * ROWS, "it was too fast to be killed in the middle");
    let ends = world.ends(4);
    assert_eq!(ends.len(), 4);
    for end in ends.values() {
        assert_eq!((&end["status"], end["processed"].as_u64()), (&"COMPLETED".into(), Some(ROWS as u64)), "{end}");
        // The first rows of the file, whichever process brought them in.
        let listed = end["successList"].as_array().unwrap();
        let group = listed[0].as_str().unwrap().split('r').next().unwrap();
        let first: Vec<_> = (0..100).map(|row| json!(format!("{group}r{row}"))).collect();
        assert_eq!((listed, &end["truncated"]), (&first, &true.into()));
    }
    assert_eq!(world.count(NODES), 4 * ROWS);
    // Every row went in once: had one been written again, it would count as unchanged.
    assert_eq!(world.count("SELECT CAST(sum(inserted) AS bigint) FROM bulk_piece"), 4 * ROWS);
    assert_eq!(world.count("SELECT CAST(sum(unchanged + updated) AS bigint) FROM bulk_piece"), 0);
    assert_eq!(two.stop(), Some(0));
}

#[test]
fn a_file_that_is_not_there_or_not_allowed_is_a_dead_letter_and_one_with_bad_rows_tells_them() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_PROGRESS_SECONDS", "0.01");
    world.set("KAFKA_STATUS_LIST", "3");
    world.topic(&world.users(), 1);
    std::fs::write(world.path("some.csv"), "id,group\nb,g\n,g\na,g\n").unwrap();
    std::fs::write(world.path("many.csv"), "id,group\nd,g\nc,g\nc,g\ne,g\nf,g\n").unwrap();
    std::fs::write(world.path("none.csv"), "name\nx\n").unwrap();
    let names = ["missing.csv", "/etc/passwd", "https://example.invalid/x.csv", "none.csv", "some.csv", "many.csv"];
    world.send(&world.users(), &names.map(|name| file(name).key(name)));
    let consumer = world.consume();
    let ends = world.ends(6);
    let dead = world.wait_for(&world.dead_letters(), 4);
    let mut keys: Vec<_> = dead.iter().filter_map(key).collect();
    keys.sort();
    assert_eq!(keys, ["/etc/passwd", "https://example.invalid/x.csv", "missing.csv", "none.csv"]);
    let some = ends.values().find(|end| end["processed"] == 2).unwrap();
    assert_eq!((&some["status"], &some["total"]), (&"FAILED".into(), &3.into()));
    assert_eq!((&some["successList"], &some["failedList"]), (&json!(["b", "a"]), &json!(["line 3"])));
    assert_eq!((&some["truncated"], some.get("more")), (&json!(false), None));
    let many = ends.values().find(|end| end["processed"] == 5).unwrap();
    assert_eq!((&many["status"], &many["successList"]), (&json!("COMPLETED"), &json!(["d", "c", "e"])));
    let more = format!("/api/v1/imports/{}/references", many["importId"].as_str().unwrap());
    assert_eq!((&many["truncated"], &many["more"]), (&json!(true), &json!({ "successList": more })));
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn small_messages_behind_a_file_wait_for_it_and_polling_goes_on() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    // Less than the file takes: its rows find their table locked.
    world.set("KAFKA_PROPERTIES", "session.timeout.ms=6000,heartbeat.interval.ms=500,max.poll.interval.ms=6000");
    world.set("IMPORT_BULK_SHORTEST_SECONDS", "30");
    world.topic(&world.users(), 1);
    std::fs::write(world.path("long.csv"), rows("g", 2000)).unwrap();
    world.send(&world.users(), &[crate::world::references("before", &["y"])]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM matching_groups WHERE name = 'before'", 1);
    let lock = "BEGIN; LOCK TABLE nodes IN EXCLUSIVE MODE; SELECT pg_sleep(8); COMMIT";
    std::thread::scope(|scope| {
        let locking = scope.spawn(|| world.sql(lock));
        world.until("SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'nodes'::regclass", 1);
        world.send(&world.users(), &[file("long.csv"), crate::world::references("after", &["z"])]);
        locking.join().unwrap();
    });
    let ended = Instant::now();
    world.until("SELECT count(*) FROM matching_groups WHERE name = 'after'", 1);
    assert_eq!(world.count(NODES), 2002, "{:?} after the lock", ended.elapsed());
    assert_eq!(world.ends(3).len(), 3);
    assert!(!consumer.log().contains("poll interval"), "{}", consumer.log());
    assert_eq!(consumer.stop(), Some(0));
}

/// An HTTP server that gives the first half of a file whoever asks, and nothing more.
fn halves(content: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, begun) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&begun);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let goes_on = lines.iter().any(|line| line.to_lowercase().starts_with("range:"));
            let (length, half) = (content.len(), &content[..content.len() / 2]);
            // Whoever has given up does not hear it.
            let _ = if goes_on {
                write!(&stream, "HTTP/1.1 503 Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\nConnection: close");
                write!(&stream, "{head}\r\n\r\n{half}")
            };
        }
    });
    (address, begun)
}

#[test]
fn a_file_that_ends_too_early_is_tried_three_times_and_is_a_dead_letter_with_what_is_in() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    let (address, begun) = halves(rows("g", 200));
    world.set("IMPORT_HOSTS", &address.to_string());
    world.set("IMPORT_BULK_ROWS", "10");
    world.topic(&world.users(), 1);
    let consumer = world.consume();
    world.send(&world.users(), &[file(&format!("http://{address}/cut.csv")).key("cut")]);
    world.send(&world.users(), &[crate::world::references("after", &["z"])]);
    let ends = world.ends(2);
    let cut = ends.values().find(|end| end["status"] == "FAILED").unwrap();
    let inside = cut["processed"].as_u64().unwrap();
    assert!((10..200).contains(&inside), "{cut}");
    assert_eq!(world.count("SELECT count(*) FROM nodes WHERE reference_id LIKE 'g%'") as u64, inside);
    assert_eq!(cut["successList"].as_array().unwrap().len() as u64, inside.min(100));
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!((dead.len(), key(&dead[0]).as_deref()), (1, Some("cut")));
    assert_eq!(header(&dead[0], "parser-attempts").as_deref(), Some("3"));
    assert_eq!(header(&dead[0], "__connect.errors.exception.class.name").as_deref(), Some("file_failed"));
    assert_eq!(begun.load(Ordering::SeqCst), 3);
    assert_eq!(consumer.stop(), Some(0));
}

/// Does something while a transaction holds what a statement has locked.
pub(crate) fn holding<T>(world: &World, statement: &str, meanwhile: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (client, connection) = runtime.block_on(tokio_postgres::connect(&world.url, tokio_postgres::NoTls)).unwrap();
    runtime.spawn(connection);
    runtime.block_on(client.batch_execute(&format!("BEGIN; {statement}"))).unwrap();
    let done = meanwhile();
    runtime.block_on(client.batch_execute("ROLLBACK")).unwrap();
    done
}

#[test]
fn a_file_tells_how_far_it_is_when_asked_to_and_its_end_last() {
    const ROWS: usize = 1000;
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("KAFKA_PROGRESS_SECONDS", "0.05");
    world.set("IMPORT_BULK_ROWS", "50");
    world.set("IMPORT_BULK_SHORTEST_SECONDS", "30");
    world.topic(&world.users(), 1);
    let second = rows("held", ROWS);
    let both = rows("g", ROWS) + second.split_once('\n').unwrap().1;
    std::fs::write(world.path("long.csv"), both).unwrap();
    world.send(&world.users(), &[crate::world::references("before", &["y"])]);
    let consumer = world.consume();
    world.until("SELECT count(*) FROM matching_groups WHERE name = 'before'", 1);
    // The second half waits for a group that somebody else is just making.
    let group = "INSERT INTO matching_groups SELECT gen_random_uuid(), id, 'held', now() FROM domains";
    let of_file = |world: &World| {
        let told: Vec<_> = world.read(&world.statuses()).iter().map(crate::world::value).collect();
        told.into_iter().filter(|told| told["groupId"] != "before").collect::<Vec<_>>()
    };
    holding(&world, group, || {
        world.send(&world.users(), &[file("long.csv")]);
        let begun = Instant::now();
        while !of_file(&world).iter().any(|told| told["processed"] == ROWS) {
            assert!(begun.elapsed() < crate::world::DEADLINE, "nothing is told: {}", world.logs());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    assert_eq!(world.ends(2).len(), 2);
    let told = of_file(&world);
    let (end, progress) = told.split_last().unwrap();
    assert_eq!((&end["status"], &end["processed"]), (&"COMPLETED".into(), &json!(2 * ROWS)));
    let mut before = 0;
    for one in progress {
        assert_eq!(
            (&one["status"], &one["jobId"], &one["importId"]),
            (&"PROCESSING".into(), &end["jobId"], &end["importId"])
        );
        let (processed, total) = (one["processed"].as_u64().unwrap(), one["total"].as_u64().unwrap());
        assert!(before <= processed && processed <= total && total <= 2 * ROWS as u64, "{progress:?}");
        before = processed;
    }
    assert_eq!(consumer.stop(), Some(0));
}

#[test]
fn a_file_of_a_bucket_is_imported() {
    let Some(broker) = brokers::noida() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shelf = Shelf::new();
    runtime.block_on(shelf.put("in/users.csv", rows("g", 500).as_bytes()));
    for (name, value) in shelf.env().into_iter().chain([("IMPORT_BUCKETS", shelf.bucket())]) {
        world.set(name, value);
    }
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[file(&shelf.url("in/users.csv")), file(&shelf.url("in/none.csv")).key("none")]);
    let consumer = world.consume();
    let ends = world.ends(2);
    let done = ends.values().find(|end| end["status"] == "COMPLETED").unwrap();
    assert_eq!((&done["processed"], world.count(NODES)), (&json!(500), 500));
    let dead = world.wait_for(&world.dead_letters(), 1);
    assert_eq!((dead.len(), key(&dead[0]).as_deref()), (1, Some("none")));
    assert_eq!(consumer.stop(), Some(0));
}
