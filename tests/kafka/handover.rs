//! Partitions that change hands in the middle of a file, while nobody is killed: whoever has the partition next goes on
//! with the same job behind the last rows that are in, and the job ends once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::brokers;
use crate::files::{holding, rows};
use crate::world::{Consuming, DEADLINE, NODES, Sent, World, file, value};

/// Rows of each file, of a piece, and of the half that comes at once (five pieces, and some of the next).
const ROWS: usize = 1000;
const PIECE: usize = 100;
const HALF: usize = 550;

/// A server of files `/0.csv`, `/1.csv` …: it gives the first half of each at once, and the rest when it is told to.
struct Halves {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    goes_on: Arc<AtomicBool>,
}

impl Halves {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, goes_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (heard, may) = (Arc::clone(&asked), Arc::clone(&goes_on));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, may) = (Arc::clone(&heard), Arc::clone(&may));
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                    let first = lines.next().unwrap_or_default();
                    while lines.next().is_some_and(|line| !line.is_empty()) {}
                    heard.fetch_add(1, Ordering::SeqCst);
                    let name = first.split(['/', '.']).nth(1).unwrap_or_default();
                    let content = rows(&format!("g{name}"), ROWS);
                    let cut = content.match_indices('\n').nth(HALF).unwrap().0 + 1;
                    let length = content.len();
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\nConnection: close");
                    // Whoever has given up does not hear it.
                    let _ = write!(&stream, "{head}\r\n\r\n{}", &content[..cut]);
                    while !may.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    let _ = (&stream).write_all(&content.as_bytes()[cut..]);
                });
            }
        });
        Self { address, asked, goes_on }
    }

    /// Messages that name so many of its files, each for a partition of its own.
    fn messages(&self, count: i32) -> Vec<Sent> {
        (0..count).map(|number| file(&format!("http://{}/{number}.csv", self.address)).to(number)).collect()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn go_on(&self) {
        self.goes_on.store(true, Ordering::SeqCst);
    }
}

const PIECES: &str = "SELECT count(*) FROM bulk_piece";

/// What stands of the pieces and nodes that are in: who wrote them (a transaction's number), and when.
fn standing(world: &World) -> Vec<Vec<String>> {
    let mut standing =
        world.sql("SELECT b.ordinal, b.import, p.number, p.xmin, p.inserted FROM bulk_piece p JOIN import_batch b ON b.number = p.batch");
    standing.extend(world.sql("SELECT reference_id, id, xmin, created_at, updated_at FROM nodes"));
    standing
}

/// Up to where the group has committed each partition; none = nothing.
fn committed(world: &World, partitions: i32) -> Vec<Option<i64>> {
    let consumer: BaseConsumer = world.client().set("group.id", &world.name).create().unwrap();
    let mut list = TopicPartitionList::new();
    for number in 0..partitions {
        list.add_partition(&world.users(), number);
    }
    let committed = consumer.committed_offsets(list, Duration::from_secs(20)).unwrap();
    let offset = |number| match committed.find_partition(&world.users(), number).unwrap().offset() {
        Offset::Offset(next) => Some(next),
        _ => None,
    };
    (0..partitions).map(offset).collect()
}

/// Waits until somebody tells that it waits for a file; of which job.
fn waited_for(world: &World) -> String {
    let started = Instant::now();
    loop {
        let told: Vec<_> = world.read(&world.statuses()).iter().map(value).collect();
        if let Some(told) = told.iter().find(|told| told["status"] == "PROCESSING") {
            return told["jobId"].as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < DEADLINE, "nobody waits for a file: {}", world.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every file is in, once, under one job and one import that ended once.
fn assert_done_once(world: &World, files: usize, before: &[Vec<String>]) {
    let ends = world.ends(files);
    assert_eq!(ends.len(), files);
    for end in ends.values() {
        assert_eq!(
            (&end["status"], &end["processed"], &end["total"]),
            (&json!("COMPLETED"), &json!(ROWS), &json!(ROWS))
        );
        // The first rows of the file, whoever brought them in.
        let listed = end["successList"].as_array().unwrap();
        let group = listed[0].as_str().unwrap().split('r').next().unwrap();
        let first: Vec<Value> = (0..100).map(|row| json!(format!("{group}r{row}"))).collect();
        assert_eq!(listed, &first);
    }
    assert_eq!(world.count(NODES), files * ROWS);
    // What was in before it changed hands stands as it was written.
    let after = standing(world);
    for row in before {
        assert!(after.contains(row), "{row:?} was written again");
    }
    // Had a row been written again, it would count as unchanged or updated.
    assert_eq!(world.count(PIECES), files * ROWS / PIECE);
    assert_eq!(world.count("SELECT CAST(sum(inserted) AS bigint) FROM bulk_piece"), files * ROWS);
    assert_eq!(world.count("SELECT CAST(sum(unchanged + updated + failed) AS bigint) FROM bulk_piece"), 0);
    assert_eq!(world.count("SELECT count(*) FROM nodes WHERE updated_at <> created_at"), 0);
    for table in ["message_job", "import_record", "import_batch"] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")), files, "{table}");
    }
    let ended = "SELECT count(*) FROM message_job j JOIN import_record i ON i.id = j.id \
                 WHERE j.status = 'COMPLETED' AND i.status = 'completed'";
    assert_eq!(world.count(ended), files);
    assert_eq!(world.count("SELECT count(*) FROM message_outbox"), files);
    assert_eq!(world.read(&world.dead_letters()).len(), 0);
}

/// Whose the status message of a job is.
fn teller(world: &World, which: &str) -> Vec<String> {
    let rows = world.sql(&format!("SELECT DISTINCT owner FROM message_outbox WHERE {which}"));
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}

fn world_of(address: &str, halves: &Halves) -> Option<World> {
    let mut world = World::new(address)?;
    world.set("IMPORT_HOSTS", &halves.address.to_string());
    world.set("IMPORT_BULK_ROWS", &PIECE.to_string());
    // Longer than anything here takes.
    world.set("IMPORT_READ_TIMEOUT_SECONDS", "600");
    Some(world)
}

/// Waits until the first halves of so many files are in.
fn until_halves_are_in(world: &World, files: usize) {
    world.until(PIECES, files * (HALF / PIECE));
    assert_eq!(world.count(PIECES), files * (HALF / PIECE));
}

fn ask_to_end(consumer: &Consuming) {
    assert!(Command::new("kill").arg(consumer.child.id().to_string()).status().unwrap().success());
}

#[test]
fn a_member_that_joins_goes_on_with_the_job_of_a_file_that_another_has_begun() {
    for broker in brokers::each() {
        let halves = Halves::new();
        let Some(world) = world_of(&broker.address, &halves) else { return };
        world.topic(&world.users(), 2);
        world.send(&world.users(), &halves.messages(2));
        let one = world.consume();
        until_halves_are_in(&world, 2);
        let before = standing(&world);
        assert_eq!(committed(&world, 2), [None, None]);

        // Only the second one tells of its progress: what it tells of is what it has taken over.
        let two = world.consume_with(&[("KAFKA_PROGRESS_SECONDS", "0.05")]);
        let taken_over = waited_for(&world);
        assert!(one.log().contains("partitions revoked"), "{}", one.log());
        assert_eq!(committed(&world, 2), [None, None]);
        assert_eq!(world.count("SELECT count(*) FROM message_job WHERE status = 'PROCESSING'"), 2);
        halves.go_on();
        assert_done_once(&world, 2, &before);
        // Whose worker had the file has it still: nothing was begun again.
        assert_eq!(halves.asked(), 2);
        let [second, first] = ["=", "<>"].map(|is| teller(&world, &format!("job_id {is} '{taken_over}'")));
        assert!(first.len() == 1 && second.len() == 1 && first != second, "{first:?} {second:?}");
        assert_eq!((one.stop(), two.stop()), (Some(0), Some(0)));
        assert_eq!(committed(&world, 2), [Some(1), Some(1)]);
    }
}

#[test]
fn a_member_that_is_asked_to_end_in_mid_file_leaves_the_rest_of_it_to_another() {
    for broker in brokers::each() {
        let halves = Halves::new();
        let Some(mut world) = world_of(&broker.address, &halves) else { return };
        // Each has one.
        world.set("IMPORT_BULK_FILES", "1");
        world.topic(&world.users(), 2);
        let (one, two) = (world.consume().joined(), world.consume().joined());
        world.send(&world.users(), &halves.messages(2));
        until_halves_are_in(&world, 2);
        let before = standing(&world);
        assert_eq!(one.stop(), Some(0));
        // It has ended nothing and committed nothing, and keeps nothing from anybody.
        assert_eq!(world.count("SELECT count(*) FROM message_job WHERE status = 'PROCESSING'"), 2);
        assert_eq!(world.count("SELECT count(*) FROM message_outbox"), 0);
        assert_eq!(committed(&world, 2), [None, None]);
        assert_eq!((standing(&world), halves.asked()), (before.clone(), 2));
        halves.go_on();
        assert_done_once(&world, 2, &before);
        // Only the file of the one that is gone was asked for again.
        assert_eq!((halves.asked(), teller(&world, "TRUE").len()), (3, 1));
        assert_eq!(two.stop(), Some(0));
        assert_eq!(committed(&world, 2), [Some(1), Some(1)]);
    }
}

#[test]
fn a_member_that_is_asked_to_end_while_it_writes_rows_leaves_them_done_or_undone() {
    let Some(broker) = brokers::calfkit() else { return };
    let Some(mut world) = World::new(&broker.address) else { return };
    world.set("IMPORT_BULK_ROWS", &PIECE.to_string());
    world.set("IMPORT_BULK_IN_FLIGHT", "2");
    world.topic(&world.users(), 1);
    let (first, second) = (rows("g", ROWS / 2), rows("held", ROWS / 2));
    std::fs::write(world.path("f.csv"), first + second.split_once('\n').unwrap().1).unwrap();
    world.send(&world.users(), &[crate::world::references("before", &["y"])]);
    let mut one = world.consume();
    assert_eq!(world.ends(1).len(), 1);
    // The second half waits for a group that somebody else is just making.
    let group = "INSERT INTO matching_groups SELECT gen_random_uuid(), id, 'held', now() FROM domains";
    // A message of ids has a piece of its own.
    let full = "SELECT count(*) FROM bulk_piece WHERE inserted = 100";
    let mut before = Vec::new();
    let two = holding(&world, group, || {
        world.send(&world.users(), &[file("f.csv")]);
        world.until(full, ROWS / 2 / PIECE);
        world.until(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            1,
        );
        before = standing(&world);
        ask_to_end(&one);
        let two = world.consume_with(&[("KAFKA_PROGRESS_SECONDS", "0.05")]);
        waited_for(&world);
        two
    });
    let ends = world.ends(2);
    let end = ends.values().find(|end| end["total"] == ROWS).unwrap();
    assert_eq!((&end["status"], &end["processed"]), (&json!("COMPLETED"), &json!(ROWS)));
    let after = standing(&world);
    assert!(before.iter().all(|row| after.contains(row)));
    assert_eq!(world.count(NODES), 1 + ROWS);
    assert_eq!((world.count(PIECES), world.count(full)), (1 + ROWS / PIECE, ROWS / PIECE));
    assert_eq!(world.count("SELECT CAST(sum(unchanged + updated + failed) AS bigint) FROM bulk_piece"), 0);
    assert_eq!(world.count("SELECT count(*) FROM message_job"), 2);
    assert_eq!(one.child.wait().unwrap().code(), Some(0));
    assert_eq!(two.stop(), Some(0));
    assert_eq!(committed(&world, 1), [Some(2)]);
}
