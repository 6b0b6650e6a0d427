//! Nodes on a real server: texts that are hostile to COPY, imports that meet, time that runs out, a server that restarts.

use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{self, Cluster, sql};
use crate::place::{Place, command, on_each_engine};
use crate::world::{DEADLINE, World, generated, until};

/// Texts that break whoever puts them together instead of handing them over.
const HOSTILE: &[&str] = &[
    "'; DROP TABLE nodes; --",
    "\\N",
    "\\.",
    "\\",
    "\\\\x41\\t",
    "NULL",
    "\"",
    "\"\"",
    "a\tb",
    "{}[]{\"a\":1}",
    "$1 ?1 %s %n {0}",
    "\u{202e}\u{feff}rtl",
    "\u{1F600}\u{1F468}\u{200D}\u{1F469}",
    "e\u{301} \u{e9}",
    "\u{7f}\u{1}\u{1f}",
    "ＦＵＬＬ　ｗｉｄｔｈ",
    "0x00 0e0 1E400 -0 NaN Infinity",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "x\u{85}\u{2028}y\u{2029}z",
];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[test]
fn hostile_texts_come_back_byte_for_byte() {
    on_each_engine(|place| {
        let mut file = "id,group,k\n".to_owned();
        for (number, text) in HOSTILE.iter().enumerate() {
            // As keys, too.
            writeln!(file, "{},{},{}", quoted(&format!("{number}{text}")), quoted(text), quoted(text)).unwrap();
        }
        std::fs::write(place.folder.path().join("users.csv"), &file).unwrap();
        for (round, counts) in [(0, "COMPLETED"), (1, "COMPLETED")] {
            let done = import(place, &["users.csv"], &[]).wait_with_output().unwrap();
            assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
            let printed: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
            assert_eq!(printed["files"][0]["status"], counts);
            let expected = if round == 0 { "inserted" } else { "unchanged" };
            assert_eq!(printed["files"][0][expected], HOSTILE.len(), "{printed}");
        }
        let found = place.store(async |store| {
            let ask = "SELECT n.reference_id, g.name, m.metadata_value FROM nodes n
                       JOIN matching_groups g ON g.id = n.group_id JOIN node_metadata m ON m.node_id = n.id";
            let rows = store.read(move |session| {
                session.query(ask, &[], |row| Ok([row.get::<String>(0)?, row.get(1)?, row.get(2)?]))
            });
            rows.await.unwrap()
        });
        let mut expected: Vec<_> = HOSTILE
            .iter()
            .enumerate()
            .map(|(number, text)| [format!("{number}{text}"), (*text).to_owned(), (*text).to_owned()])
            .collect();
        let mut found = found;
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    });
}

fn import(place: &Place, args: &[&str], env: &[(&str, &str)]) -> Child {
    let into = place.database.as_ref().map_or("sqlite:state/catalog.db", |database| database.url.as_str());
    let fixed = ["import", "--kind", "nodes", "--domain", "d", "--json", "--into", "env:DATABASE"];
    let env = [&[("DATABASE", into)], env].concat();
    command(place.folder.path(), &[&fixed[..], args].concat(), &env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn imports_of_the_same_nodes_at_once_end_without_a_deadlock() {
    let Some(place) = Place::postgres() else { return };
    let url = place.database.as_ref().unwrap().url.clone();
    let rows = |value: &str, keys: &mut dyn Iterator<Item = usize>| {
        keys.fold("id,group,type,city,name\n".to_owned(), |text, key| {
            text + &format!("u{key},g{},{},{value} {key},x\n", key % 7, ["BOT", "ADMIN"][key % 2])
        })
    };
    // Each in another order, and first of all none of them is there.
    std::fs::write(place.folder.path().join("a.csv"), rows("a", &mut (0..2000))).unwrap();
    std::fs::write(place.folder.path().join("b.csv"), rows("b", &mut (0..2000).rev())).unwrap();
    std::fs::write(place.folder.path().join("c.csv"), rows("c", &mut (0..2000).map(|row| row * 7 % 2000))).unwrap();
    for _ in 0..2 {
        let children: Vec<_> = ["a.csv", "b.csv", "c.csv"]
            .iter()
            .map(|name| import(&place, &[name, "--batch-size", "250"], &[]))
            .collect();
        for child in children {
            let done = child.wait_with_output().unwrap();
            assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
    let counts = "SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM node_metadata),
                  (SELECT count(*) FROM node_metadata WHERE metadata_key = 'city' AND metadata_value ~ '^[abc] [0-9]+$')";
    assert_eq!(sql(&url, counts), [["2000", "4000", "2000"]]);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(sql(&url, deadlocks), [["0"]]);
}

#[test]
fn a_restart_of_the_server_in_mid_copy_costs_no_row() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    let database = cluster.database();
    let world = World::new();
    world.write("users.csv", generated(8000));
    let args = ["users.csv", "--batch-size", "100", "--into", "env:DATABASE"];
    let child = world.command(&args, &[("DATABASE", &database.url)]).spawn().unwrap();
    let pieces = || {
        let asked = "SELECT CASE WHEN to_regclass('bulk_piece') IS NULL THEN 0 ELSE 1 END";
        let there = sql(&database.url, asked) == [["1"]];
        if !there {
            return 0;
        }
        sql(&database.url, "SELECT count(*) FROM bulk_piece")[0][0].parse::<u32>().unwrap()
    };
    for many in [5, 30] {
        until(|| pieces() >= many);
        cluster.control(&["-m", "immediate", "restart"]);
    }
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    let counts =
        "SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM node_metadata), (SELECT records FROM import_batch)";
    assert_eq!(sql(&database.url, counts), [["8000", "16000", "8000"]], "{said}");
}

/// An import reads what is there, and changes it where it was read. Somebody else changes it in between.
#[test]
fn what_somebody_else_has_just_changed_is_changed_again() {
    let Some(place) = Place::postgres() else { return };
    let url = place.database.as_ref().unwrap().url.clone();
    let bring = |text: &str| {
        std::fs::write(place.folder.path().join("users.csv"), text).unwrap();
        import(&place, &["users.csv"], &[])
    };
    let ended = |child: Child| {
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<serde_json::Value>(&done.stdout).unwrap()
    };
    ended(bring("id,group,type,name\n1,g,USER,one\n2,g,USER,two\n"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (client, connection) = runtime.block_on(tokio_postgres::connect(&url, tokio_postgres::NoTls)).unwrap();
    runtime.spawn(connection);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let stored = "SELECT n.type, m.metadata_key, m.metadata_value FROM nodes n JOIN node_metadata m ON m.node_id = n.id \
                  WHERE n.reference_id = '1' ORDER BY 2";
    // A value that is there, one that is not there yet, the node itself.
    for (number, theirs) in [
        "UPDATE node_metadata SET metadata_value = 'theirs' WHERE metadata_key = 'name'",
        "INSERT INTO node_metadata SELECT id, 'city', 'theirs' FROM nodes WHERE reference_id = '1'",
        "UPDATE nodes SET type = 'BOT'",
    ]
    .into_iter()
    .enumerate()
    {
        runtime.block_on(client.batch_execute(&format!("BEGIN; {theirs}"))).unwrap();
        let ours = format!("id,group,type,name,city\n1,g,ADMIN,ours {number},Oslo {number}\n");
        let child = bring(&if number == 0 { ours.replace(",city", "").replace(",Oslo 0", "") } else { ours });
        let begun = Instant::now();
        while sql(&url, waits)[0][0] == "0" {
            assert!(begun.elapsed() < DEADLINE, "it does not wait for {theirs}");
            std::thread::sleep(Duration::from_millis(10));
        }
        runtime.block_on(client.batch_execute("COMMIT")).unwrap();
        assert_eq!(ended(child)["files"][0]["updated"], 1, "{theirs}");
        let (name, city) = (format!("ours {number}"), format!("Oslo {number}"));
        let mut expected = vec![["ADMIN", "city", &city], ["ADMIN", "name", &name]];
        if number == 0 {
            expected.remove(0);
        }
        assert_eq!(sql(&url, stored), expected, "{theirs}");
    }
}

/// What an import found to be so already is looked at again if somebody else has changed or made the node meanwhile: a
/// node is never half of one import and half of another.
#[test]
fn a_node_is_wholly_what_the_last_import_says() {
    let Some(place) = Place::postgres() else { return };
    let url = place.database.as_ref().unwrap().url.clone();
    std::fs::write(place.folder.path().join("users.csv"), "id,group,type,name,city\n1,g,USER,one,Rome\n").unwrap();
    assert_eq!(import(&place, &["users.csv"], &[]).wait_with_output().unwrap().status.code(), Some(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (client, connection) = runtime.block_on(tokio_postgres::connect(&url, tokio_postgres::NoTls)).unwrap();
    runtime.spawn(connection);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for (theirs, ours, counts, expected) in [
        // Theirs has another name; ours says the name that was there, and another city. (Times of others are not whole
        // milliseconds, and theirs is later than ours.)
        (
            "UPDATE nodes SET updated_at = now() + interval '1 hour 1 microsecond'; \
             UPDATE node_metadata SET metadata_value = 'theirs' WHERE metadata_key = 'name'",
            "id,group,name,city\n1,g,one,Oslo\n",
            ["0", "1"],
            [["1", "USER", "city", "Oslo"], ["1", "USER", "name", "one"]],
        ),
        // Both make a node, and ours says nothing of its type.
        (
            "INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at) \
             SELECT gen_random_uuid(), '2', group_id, domain_id, 'BOT', now(), now() FROM nodes; \
             INSERT INTO node_metadata SELECT id, 'name', 'theirs' FROM nodes WHERE reference_id = '2'",
            "id,group,name,city\n2,g,two,Bern\n",
            ["0", "1"],
            [["2", "BOT", "city", "Bern"], ["2", "BOT", "name", "two"]],
        ),
        // Theirs takes a node away.
        (
            "DELETE FROM nodes WHERE reference_id = '2'",
            "id,group,name,city\n2,g,two,Ulm\n",
            ["1", "0"],
            [["2", "USER", "city", "Ulm"], ["2", "USER", "name", "two"]],
        ),
    ] {
        runtime.block_on(client.batch_execute(&format!("BEGIN; {theirs}"))).unwrap();
        std::fs::write(place.folder.path().join("users.csv"), ours).unwrap();
        let child = import(&place, &["users.csv"], &[]);
        let begun = Instant::now();
        while sql(&url, waits)[0][0] == "0" {
            assert!(begun.elapsed() < DEADLINE, "it does not wait for {theirs}");
            std::thread::sleep(Duration::from_millis(10));
        }
        runtime.block_on(client.batch_execute("COMMIT")).unwrap();
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        let printed: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let file = &printed["files"][0];
        assert_eq!(["inserted", "updated"].map(|count| file[count].to_string()), counts, "{theirs}");
        let stored = "SELECT n.reference_id, n.type, m.metadata_key, m.metadata_value FROM nodes n \
                      JOIN node_metadata m ON m.node_id = n.id WHERE n.reference_id = ";
        assert_eq!(sql(&url, &format!("{stored} '{}' ORDER BY 3", expected[0][0])), expected, "{theirs}");
    }
    // Each change has a later time than the one before.
    let later = "SELECT updated_at > now() + interval '59 minutes' FROM nodes WHERE reference_id = '1'";
    assert_eq!(sql(&url, later), [["t"]]);
}

#[test]
fn a_transaction_that_takes_too_long_is_undone_and_tried_again() {
    let Some(place) = Place::postgres() else { return };
    let url = place.database.as_ref().unwrap().url.clone();
    std::fs::write(place.folder.path().join("users.csv"), "id,group,name\n1,g,one\n2,g,two\n").unwrap();
    let done = import(&place, &["users.csv"], &[]).wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::write(place.folder.path().join("users.csv"), "id,group,name\n1,g,uno\n2,g,due\n3,g,tre\n").unwrap();
    // Somebody else changes a row and does not say whether it stands.
    let holder = url.clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (holds, held) = std::sync::mpsc::channel();
    let holding = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&holder, tokio_postgres::NoTls).await.unwrap();
            let driver = tokio::spawn(connection);
            client.batch_execute("BEGIN; UPDATE node_metadata SET metadata_value = 'held'").await.unwrap();
            holds.send(()).unwrap();
            tokio::task::spawn_blocking(move || released.recv_timeout(DEADLINE)).await.unwrap().unwrap();
            client.batch_execute("ROLLBACK").await.unwrap();
            drop(client);
            driver.await.unwrap().unwrap();
        });
    });
    held.recv_timeout(DEADLINE).unwrap();
    let patience = [("IMPORT_BULK_SHORTEST_SECONDS", "0.2"), ("IMPORT_BULK_LONGEST_SECONDS", "0.2")];
    let mut child = import(&place, &["users.csv"], &patience);
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let (mut line, begun) = (String::new(), Instant::now());
    while !line.contains("writing a batch of nodes again") {
        assert!(begun.elapsed() < DEADLINE);
        line.clear();
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "it ended without waiting");
    }
    release.send(()).unwrap();
    let rest = std::thread::spawn(move || std::io::read_to_string(said).unwrap());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", rest.join().unwrap());
    holding.join().unwrap();
    let found =
        "SELECT n.reference_id, m.metadata_value FROM nodes n JOIN node_metadata m ON m.node_id = n.id ORDER BY 1";
    assert_eq!(sql(&url, found), [["1", "uno"], ["2", "due"], ["3", "tre"]]);
}

#[test]
fn memory_does_not_grow_with_the_file() {
    use std::io::Write as _;
    let world = World::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"id,group,a,b,c\n").unwrap();
    let filler = "x".repeat(400);
    for block in 0..40 {
        let mut text = String::new();
        for row in 0..1000 {
            writeln!(text, "u{block}-{row},g,{filler},\"{filler}\n{row}\",{row}").unwrap();
        }
        packed.write_all(text.as_bytes()).unwrap();
    }
    let packed = packed.finish().unwrap();
    world.write("users.csv.gz", &packed);
    let mut child = world.command(&["users.csv.gz", "--dry-run", "--batch-size", "1000"], &[]).spawn().unwrap();
    let (path, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(now.unwrap_or(0));
        assert!(begun.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = child.wait_with_output().unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(printed["files"][0]["inserted"], 40_000, "{printed}");
    // The file has 32 MB, unpacked; a few batches of it are a few megabytes.
    assert!(peak > 0 && peak < 64 << 10, "{peak} KiB");
}

#[test]
fn nothing_is_left_on_the_server_but_tables() {
    let Some(place) = Place::postgres() else { return };
    let url = place.database.as_ref().unwrap().url.clone();
    std::fs::write(place.folder.path().join("users.csv"), generated(300)).unwrap();
    for _ in 0..2 {
        let done = import(&place, &["users.csv", "--batch-size", "100"], &[]).wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'";
    until(|| cluster::sql(&url, temporary) == [["0"]]);
}
