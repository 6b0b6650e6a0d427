//! Any bytes as a file: nothing panics, no neighbour is lost, memory stays flat; and what goes in comes out byte for byte,
//! on both engines alike.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use parser::backend::imports::{BulkBegin, Imports, Limits};
use parser::bulk::BulkError;
use parser::bulk::inputs::Source;
use parser::bulk::tables::{Meter, Options, Parsers, Summary, import};
use parser::config::{Layers, Needs, Settings};
use parser::model::ImportFormat;
use parser::store::objects::{ObjectUrl, Sources};
use parser::store::sql::Cell;
use parser::store::{Location, Server, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::watch;

use crate::cluster;
use crate::tables::{lines, run};
use crate::world::World;

async fn load(store: &Arc<Store>, world: &World, file: &str, table: &str, batch: Option<u64>) -> Summary {
    attempt(store, world, file, table, batch).await.unwrap()
}

/// Goes on with what an earlier attempt left.
pub(crate) async fn attempt(
    store: &Arc<Store>,
    world: &World,
    file: &str,
    table: &str,
    batch: Option<u64>,
) -> Result<Summary, BulkError> {
    let settings = Settings::load(&Layers::from_environment([]), Needs::default()).unwrap();
    let sources = Sources::unrestricted(&settings.objects).unwrap();
    let source = Source::Object(ObjectUrl::parse(world.path(file).to_str().unwrap()).unwrap());
    let imports = Imports::new(Arc::clone(store), Limits::default(), None);
    let begin = BulkBegin {
        format: ImportFormat::Tables,
        options: None,
        source: "test".to_owned(),
        processor: "test".to_owned(),
        files: vec![source.address()],
        piece_rows: 1,
        resume: true,
    };
    let begun = imports.begin_bulk(begin).await.unwrap();
    let options = Options {
        source,
        table: table.to_owned(),
        key: None,
        frozen: false,
        batch,
        max_errors: None,
        max_line: 1 << 20,
        spool: false,
        long: None,
    };
    let (_keep, stop) = watch::channel(false);
    let meter = Arc::new(Meter::default());
    import(&imports, &sources, &begun.files[0], &options, &Parsers::new(2, 1), &meter, stop).await
}

/// All cells of a table, ordered by its key.
async fn dump(store: &Store, sql: &str, columns: usize) -> Vec<Vec<Cell>> {
    let sql = sql.to_owned();
    store
        .read(move |session| session.query(&sql, &[], |row| (0..columns).map(|index| row.cell(index)).collect()))
        .await
        .unwrap()
}

/// A cell without the engine's opinion of true and false.
fn plain(rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let plain = |cell| if let Cell::Bool(value) = cell { Cell::Int(value.into()) } else { cell };
    rows.into_iter().map(|row| row.into_iter().map(plain).collect()).collect()
}

async fn stores(world: &World) -> Option<[Arc<Store>; 2]> {
    std::fs::create_dir(world.path("state")).unwrap();
    let file = Store::open(&Location::File(world.path("state/catalog.db")), 0).await.unwrap();
    let database = cluster::database()?;
    let server = Store::open(&Location::Server(Server::new(database.url.clone().into())), 0).await.unwrap();
    // It is dropped with its cluster.
    std::mem::forget(database);
    Some([Arc::new(file), Arc::new(server)])
}

const HOSTILE: &[&str] = &[
    "'; DROP TABLE series; --",
    "\\N",
    "\\.",
    "NULL",
    "\"\"",
    "a\tb\r\nc",
    "\u{feff}bom",
    "\u{202e}right to left",
    "\u{2028}\u{2029}\u{85}",
    "\u{fffd}\u{fffe}\u{ffff}",
    "\u{1}\u{1f}\u{7f}",
    "😀🏳️‍🌈👨‍👩‍👧‍👦",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "İıſẞß",
    "{{7*7}}${7*7}<script>alert(1)</script>",
    "%s%n%x",
    "1e999",
    "-0",
    "true",
    "{\"a\":1}",
    "",
    " ",
    "?1 $1 :a",
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_come_back_byte_for_byte_from_both_engines() {
    let world = World::new();
    let mut content = String::new();
    for (at, text) in HOSTILE.iter().enumerate() {
        let record = serde_json::json!({ "id": at, "text": text, *text: at, "nested": { *text: [text] } });
        content.push_str(&record.to_string());
        content.push('\n');
    }
    world.write("hostile.jsonl", &content);
    let Some(stores) = stores(&world).await else { return };
    for store in &stores {
        let summary = load(store, &world, "hostile.jsonl", "hostile", None).await;
        assert_eq!((summary.rows.inserted, summary.rows.failed), (HOSTILE.len() as u64, 0), "{summary:?}");
        let rows = dump(store, "SELECT text, nested FROM hostile ORDER BY id", 2).await;
        for (text, row) in HOSTILE.iter().zip(rows) {
            assert_eq!(row[0], Cell::Text((*text).to_owned()));
            assert_eq!(row[1], Cell::Text(serde_json::json!({ *text: [text] }).to_string()));
        }
        let again = load(store, &world, "hostile.jsonl", "hostile", None).await;
        assert_eq!(again.rows.unchanged, HOSTILE.len() as u64, "{again:?}");
    }
    // As keys they tell rows apart.
    let keys: String = HOSTILE.iter().map(|text| serde_json::json!({ "id": text }).to_string() + "\n").collect();
    world.write("keys.jsonl", keys);
    let mut found = Vec::new();
    for store in &stores {
        assert_eq!(load(store, &world, "keys.jsonl", "keys", None).await.rows.inserted, HOSTILE.len() as u64);
        found.push(dump(store, "SELECT id FROM keys ORDER BY id", 1).await);
    }
    assert_eq!(found[0], found[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_take_the_same_script_alike() {
    let world = World::new();
    let numbers = "{\"id\":1,\"a\":1,\"b\":true,\"c\":1.25,\"d\":\"x\"}\n{\"id\":2,\"a\":2.5,\"c\":1e300,\"e\":-1e-7}\n\
         {\"id\":2,\"a\":3}\n{\"id\":3,\"a\":9007199254740993,\"b\":7}\nnonsense\n{\"id\":4,\"c\":\"t\",\"e\":123456789012345678.5}\n\
         {\"id\":5,\"d\":1e15,\"c\":1e16,\"A\":0.1,\"ctid\":1}\n{\"id\":6,\"c\":18446744073709551616,\"e\":\"end\"}\n";
    world.write("0.jsonl", lines(0, 6000));
    world.write("1.jsonl", lines(3000, 7000).replace(".5,", ".75,"));
    world.write("2.jsonl", numbers);
    world.write("3.jsonl", "{\"_key\":\"text\",\"mass\":\"heavy\"}\n");
    world.write("4.jsonl", "{\"x\":1,\"y\":[1, 2]}\n{\"x\":1,\"y\":[1, 2]}\n{\"x\":1.5,\"y\":null}\n");
    let script = [
        ("0.jsonl", "t", None),
        ("1.jsonl", "t", Some(1000)),
        ("0.jsonl", "t", None),
        ("3.jsonl", "t", None),
        ("1.jsonl", "t", None),
        ("2.jsonl", "n", None),
        ("2.jsonl", "n", None),
        ("4.jsonl", "l", None),
        ("4.jsonl", "l", Some(1)),
    ];
    let Some(stores) = stores(&world).await else { return };
    let mut seen = Vec::new();
    for store in &stores {
        let mut counts = Vec::new();
        for (file, table, batch) in script {
            let summary = load(store, &world, file, table, batch).await;
            counts.push(format!("{file}: {:?} {:?} {:?}", summary.status, summary.reason, summary.rows));
        }
        let t = dump(store, "SELECT _key, \"groupID\", name, mass, published, note FROM t ORDER BY _key", 6).await;
        let n = dump(store, "SELECT id, a, b, c, d, e, \"A_2\", ctid_2 FROM n ORDER BY id", 8).await;
        let l = dump(store, "SELECT _line_hash, x, y FROM l ORDER BY _line_hash", 3).await;
        seen.push((counts, plain(t), plain(n), plain(l)));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].1.len(), 7001);
    assert!(seen[0].0[2].contains("updated: 3000"), "{:?}", seen[0].0);
    // And all of it moves to the other engine and is found unchanged there.
    let copied = Arc::new(Store::open(&Location::File(world.path("copy.db")), 0).await.unwrap());
    parser::store::copy::copy(&stores[1], &copied, false).await.unwrap();
    for (file, table) in [("1.jsonl", "t"), ("4.jsonl", "l")] {
        let summary = load(&copied, &world, file, table, None).await;
        assert_eq!((summary.rows.inserted, summary.rows.updated), (0, 0), "{file}: {summary:?}");
    }
    parser::store::copy::copy(&copied, &stores[0], true).await.unwrap();
    let t = dump(&stores[0], "SELECT _key, \"groupID\", name, mass, published, note FROM t ORDER BY _key", 6).await;
    assert_eq!(plain(t), seen[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_what_64_bits_hold_stay_as_they_are_written() {
    let numbers = [
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "1e400",
        "-1e400",
        "1.7976931348623157e308",
        "1.8e308",
    ];
    let world = World::new();
    let record = |(at, number): (usize, &&str)| format!("{{\"id\":{at},\"n\":{number},\"k\":{number}}}");
    let lines: Vec<_> = numbers.iter().enumerate().map(record).collect();
    world.write("all.jsonl", lines.join("\n"));
    // As keys, too.
    world.write("keys.jsonl", numbers.map(|number| format!("{{\"id\":{number},\"text\":\"{number}\"}}\n")).concat());
    world.write("small.jsonl", "{\"id\":1,\"n\":1e-400}\n{\"id\":2,\"n\":0.1}\n");
    let Some(stores) = stores(&world).await else { return };
    for store in &stores {
        let all = load(store, &world, "all.jsonl", "numbers", None).await;
        assert_eq!((all.rows.inserted, all.rows.failed), (9, 0), "{all:?}");
        let found = dump(store, "SELECT n FROM numbers ORDER BY id", 1).await;
        let found: Vec<_> = found.into_iter().map(|mut row| row.remove(0)).collect();
        // The largest that a real holds is written as reals are; what is above it is kept letter by letter.
        for (number, found) in numbers.iter().zip(&found).filter(|(number, _)| !number.contains("e308")) {
            assert_eq!(*found, Cell::Text((*number).to_owned()));
        }
        assert_eq!(found[8], Cell::Text("1.8e308".to_owned()));
        assert_eq!(load(store, &world, "all.jsonl", "numbers", None).await.rows.unchanged, 9);
        let keys = load(store, &world, "keys.jsonl", "number_keys", None).await;
        assert_eq!((keys.rows.inserted, keys.rows.duplicates, keys.rows.failed), (9, 0, 0), "{keys:?}");
        let same = "SELECT count(*) FROM number_keys WHERE id = text OR text LIKE '%7e308'";
        assert_eq!(dump(store, same, 1).await[0][0], Cell::Int(9));
        assert_eq!(load(store, &world, "keys.jsonl", "number_keys", None).await.rows.unchanged, 9);
        // So does what is too small for a real.
        load(store, &world, "small.jsonl", "small", None).await;
        assert_eq!(
            dump(store, "SELECT n FROM small ORDER BY id", 1).await,
            [["1e-400"], ["0.1"]].map(|row| row.map(|text| Cell::Text(text.to_owned())))
        );
    }
}

fn messy_line() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            &b"{"[..], b"}", b"[", b"]", b"\"", b":", b",", b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"1", b"-", b"1e999",
            b"\"id\":", b"\"a\":", b"{\"id\":7,\"a\":", b"\0", b"\xEF\xBB\xBF", b"\xE2\x80\xA8", b"\r", b" ", b"\t",
        ]).prop_map(<[u8]>::to_vec),
        2 => prop::collection::vec(any::<u8>().prop_filter("a line's end", |byte| *byte != b'\n'), 0..6),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

#[test]
fn any_bytes_do_no_harm_to_their_neighbours() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = World::new();
    let store = runtime.block_on(Store::open(&Location::File(world.path("any.db")), 0)).unwrap();
    let store = Arc::new(store);
    let table = std::cell::Cell::new(0);
    let strategy = prop::collection::vec((any::<bool>(), messy_line()), 0..12);
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    runner
        .run(&strategy, |script| {
            table.set(table.get() + 1);
            let (mut content, mut good) = (Vec::new(), 0_u64);
            // The first record tells what the key is.
            content.extend(b"{\"id\":1000,\"good\":true}\n");
            for (is_good, line) in &script {
                if *is_good {
                    good += 1;
                    content.extend(format!("{{\"id\":{},\"good\":true,\"é\":\"\\n\"}}\n", 1000 + good).bytes());
                } else {
                    content.extend(line);
                    content.push(b'\n');
                }
            }
            world.write("any.jsonl", &content);
            let name = format!("any{}", table.get());
            let summary = runtime.block_on(load(&store, &world, "any.jsonl", &name, None));
            let ids: Vec<_> = (1000..=1000 + good).map(|id| id.to_string()).collect();
            let kept = format!("SELECT count(*) FROM {name} WHERE good AND id IN ({})", ids.join(", "));
            let kept = runtime.block_on(dump(&store, &kept, 1));
            prop_assert_eq!(&kept[0][0], &Cell::Int(i64::try_from(good + 1).unwrap()));
            let blank = |line: &[u8]| line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
            let lines = content.split(|byte| *byte == b'\n').filter(|line| !blank(line)).count();
            prop_assert_eq!(summary.rows.total(), lines as u64, "{:?}", summary);
            Ok(())
        })
        .unwrap();
}

#[test]
fn memory_stays_flat_whatever_the_size() {
    let world = World::new();
    let mut command = world.import(&["-", "--table", "large"], &[("LOG_LEVEL", "error")]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Long lines, so that there are many bytes and few rows: 2 GB.
    let filler = "x".repeat(20_000);
    for at in 0..100_000 {
        writeln!(input, "{{\"id\":{},\"text\":\"{filler}\"}}", at % 500).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(input);
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap();
    let done = crate::world::Done(child.wait_with_output().unwrap());
    assert_eq!(done.counts(0), "COMPLETED 100000 500 0 0 99500 0");
    assert!(peak < 256 << 10, "{peak} KiB");
}

#[test]
fn a_line_that_is_too_long_is_rejected_alone() {
    let world = World::new();
    let long = format!("{{\"id\":2,\"text\":\"{}\"}}\n", "x".repeat(3 << 20));
    world.write("t.jsonl", format!("{{\"id\":1}}\n{long}{{\"id\":3}}\n{long}"));
    let done = run(&world, &["t.jsonl", "--rejects", "r"], &[("IMPORT_MAX_LINE_MIB", "2")]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 4 2 0 0 0 2");
    let reasons = world.read("r/t.reasons.jsonl");
    assert_eq!(reasons.matches("line_too_long").count(), 2, "{reasons}");
    assert!(reasons.contains("\"line\":2") && !reasons.contains("\"kept\":false"), "{reasons}");
    // They are too long to be held, not to be copied.
    assert_eq!(world.read("r/t.jsonl"), long.repeat(2));
    // A file of other lines between them, packed, its last line without an end.
    let text = format!("{{\"id\":5}}\n{{\"id\"\n{long}{{\"id\":6}}\n{}", long.trim_end());
    world.write("u.jsonl.gz", crate::world::gzip(text.as_bytes()));
    let done = run(&world, &["u.jsonl.gz", "--rejects", "r"], &[("IMPORT_MAX_LINE_MIB", "2")]);
    assert_eq!(done.counts(1), "PARTIALLY_FAILED 5 2 0 0 0 3");
    assert_eq!(world.read("r/u.jsonl"), format!("{{\"id\"\n{long}{long}"));
    assert_eq!(run(&world, &["t.jsonl"], &[]).counts(0), "COMPLETED 4 1 0 2 1 0");
}

#[test]
fn lines_of_standard_input_that_are_too_long_are_kept_while_they_pass() {
    let world = World::new();
    let long = |id: u32| format!("{{\"id\":{id},\"text\":\"{}\"}}\n", "x".repeat(3 << 20));
    let fed = |name: &str, args: &[&str], content: &[u8]| {
        let args: Vec<_> = ["-", "--rejects", name].iter().chain(args).copied().collect();
        let mut child = world.import(&args, &[("IMPORT_MAX_LINE_MIB", "2")]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        child.wait_with_output().unwrap().status.code()
    };
    let text = format!("{{\"id\":5}}\n{}{{\"id\"\n{}{{\"id\":6}}\n{}", long(1), long(2), long(3).trim_end());
    assert_eq!(fed("plain", &["--table", "t"], text.as_bytes()), Some(1));
    let rejected = format!("{{\"id\"\n{}{}{}", long(1), long(2), long(3));
    assert!(world.read("plain/stdin.jsonl") == rejected);
    let reasons = world.read("plain/stdin.reasons.jsonl");
    assert_eq!((reasons.matches("\"kept\":true").count(), reasons.matches("kept").count()), (4, 4), "{reasons}");
    assert_eq!(fed("packed", &["--table", "t"], &crate::world::gzip(text.as_bytes())), Some(1));
    assert!(world.read("packed/stdin.jsonl") == rejected);
    // Records of the catalogue have another way into the store.
    let record = |id: u32, text: &str| {
        format!(
            "{{\"kind\":\"series\",\"source_name\":\"s\",\"external_id\":\"{id}\",\"payload\":{{\"title\":\"{text}\"}}}}\n"
        )
    };
    let huge = record(2, &"y".repeat(3 << 20));
    let text = format!("{}{huge}{}", record(1, "One"), record(3, "Three"));
    assert_eq!(fed("records", &["--kind", "catalogue"], text.as_bytes()), Some(1));
    assert!(world.read("records/stdin.jsonl") == huge);
    // What is mended goes in, and nothing else is left behind.
    let mended = rejected.replace("{\"id\"\n", "{\"id\":4}\n").replace(&"x".repeat(3 << 20), "shorter");
    world.write("plain/stdin.jsonl", mended);
    assert_eq!(run(&world, &["plain/stdin.jsonl", "--table", "t"], &[]).counts(0), "COMPLETED 4 4 0 0 0 0");
    for (folder, files) in [("plain", 2), ("packed", 2), ("records", 2)] {
        assert_eq!(std::fs::read_dir(world.path(folder)).unwrap().count(), files);
    }
    assert_eq!(fed("none", &["--table", "t"], b"{\"id\":9}\n"), Some(0));
    assert!(!world.path("none").exists());
}

#[test]
fn more_fields_than_a_table_has_columns_cost_only_their_records() {
    let world = World::new();
    let record = |from: usize| {
        let fields: Vec<_> = (from..from + 300).map(|at| format!("\"f{at}\":{at}")).collect();
        format!("{{\"id\":{from},{}}}\n", fields.join(","))
    };
    world.write("wide.jsonl", record(0) + &record(200) + &record(0).replace("\"id\":0", "\"id\":1"));
    assert_eq!(run(&world, &["wide.jsonl"], &[]).counts(1), "PARTIALLY_FAILED 3 2 0 0 0 1");
}

/// Texts that every reader of JSON must take (`y_`) or refuse (`n_`), as values of records. A line's end in a text that
/// must be taken is white space; one in a text that must be refused would make two lines of it, so those are left out.
#[test]
fn the_suite_of_json_texts_is_taken_and_refused_as_it_says() {
    use std::fmt::Write as _;
    let suite = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/json-suite/data/parsing.js");
    let Ok(text) = std::fs::read_to_string(&suite) else {
        assert!(std::env::var("CI").is_err(), "{} is missing: .ci/json-suite.sh", suite.display());
        println!("skipped: {} is missing: .ci/json-suite.sh", suite.display());
        return;
    };
    let list = &text[text.find('[').unwrap()..=text.rfind(']').unwrap()];
    let cases: Vec<serde_json::Value> = serde_json::from_str(list).unwrap();
    let (mut content, mut lines) = (String::from("{\"id\":\"first\",\"value\":null,\"other\":1}\n"), Vec::new());
    for case in &cases {
        let (name, input) = (case["name"].as_str().unwrap(), case["input"].as_str().unwrap());
        let input = if name.starts_with('n') { input.to_owned() } else { input.replace('\n', " ") };
        if input.contains('\n') {
            continue;
        }
        writeln!(content, "{{\"id\":\"{name}\",\"value\":{input}}}").unwrap();
        lines.push(name);
    }
    let world = World::new();
    world.write("suite.jsonl", content);
    let file = run(&world, &["suite.jsonl"], &[]).file(1);
    assert_eq!(file["total"], lines.len() as u64 + 1, "{file}");
    let kept = world.rows("SELECT id FROM suite");
    let wrong: Vec<_> = lines
        .iter()
        .filter(|name| match name.as_bytes()[0] {
            b'y' => !kept.iter().any(|kept| kept == *name),
            b'n' => kept.iter().any(|kept| kept == *name),
            _ => false,
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(lines.len() > 300, "{}", lines.len());
}
