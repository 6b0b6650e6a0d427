//! JSON lines into a table of an embedded file, side by side with other ways to do the same on the same rows: a loop over
//! one prepared statement that parses each line (the bound), `sqlite-utils insert`, `DuckDB`, and the shell's `.import` of
//! the rows as CSV. Tools come from `.ci/bench-tools.sh`; one that is missing is left out, with the reason.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::options::Options;
use crate::process::measure;
use crate::report::{float, line, mebibytes};

/// One way to do it.
struct Way {
    name: &'static str,
    wall: Duration,
    /// Of a process of its own.
    peak: Option<u64>,
}

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let folder = super::scratch()?.join("tables");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let rows = options.rows;
    let (jsonl, csv) = (folder.join("items.jsonl"), folder.join("items.csv"));
    generate(rows, &jsonl, &csv)?;
    let bytes = std::fs::metadata(&jsonl)?.len();
    let mut ways = Vec::new();
    for _ in 0..options.runs {
        let place = folder.join("parser.db");
        fresh(&place)?;
        let import = |args: &[&str]| {
            let mut command = Command::new(parser);
            command.args(["import", "--kind", "table", "--json", "--into"]).arg(format!("sqlite:{}", place.display()));
            command.args(args).arg(&jsonl).current_dir(&folder).env("LOG_LEVEL", "error");
            measure(&mut command, &folder.join("parser.log"))
        };
        for (name, args, outcome) in [
            ("parser import", &[][..], "inserted"),
            ("parser import, the same again", &[], "unchanged"),
            ("parser import --dry-run (parse alone)", &["--dry-run"], "inserted"),
        ] {
            let cost = import(args)?;
            let summary: Value = serde_json::from_str(&cost.output)?;
            ensure!(summary["files"][0][outcome] == rows, "{name}: {summary}");
            ways.push(Way { name, wall: cost.wall, peak: Some(cost.peak) });
        }
        ways.push(Way { name: "serde_json `Value`, one core (parse alone)", wall: parse_alone(&jsonl)?, peak: None });
        let bare = folder.join("bare.db");
        fresh(&bare)?;
        ways.push(Way {
            name: "bare loop: serde_json, one prepared statement",
            wall: bare_loop(&jsonl, &bare)?,
            peak: None,
        });
        check(&bare, rows)?;
        others(&folder, &jsonl, &csv, rows, &mut ways)?;
    }
    print(&ways, rows, bytes);
    Ok(())
}

/// Rows of a real shape: a key, numbers, localised names and descriptions, things that are not always there.
fn generate(rows: u64, jsonl: &Path, csv: &Path) -> anyhow::Result<()> {
    let (mut lines, mut cells) =
        (BufWriter::new(std::fs::File::create(jsonl)?), BufWriter::new(std::fs::File::create(csv)?));
    let (mut name, mut text) = (String::new(), String::new());
    for at in 0..rows {
        // Numbers without an order, as prices and masses are.
        let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        name.clear();
        write!(name, "{{\"en\":\"Item number {at}\",\"de\":\"Gegenstand {at}\",\"ru\":\"Предмет {at}\"}}")?;
        text.clear();
        write!(text, "A thing that weighs {mixed} and is found in region {}, if anywhere at all.", mixed % 97)?;
        let (mass, published, group) = (float(mixed) / 8.0, mixed % 3 != 0, mixed % 1200);
        let market = if mixed % 4 == 0 { "null".to_owned() } else { (mixed % 2500).to_string() };
        writeln!(
            lines,
            "{{\"_key\":{at},\"groupID\":{group},\"name\":{name},\"description\":\"{text}\",\"mass\":{mass:?},\
             \"published\":{published},\"marketGroupID\":{market}}}"
        )?;
        let (quoted, market) = (name.replace('"', "\"\""), market.replace("null", ""));
        writeln!(cells, "{at},{group},\"{quoted}\",\"{text}\",{mass:?},{},{market}", u8::from(published))?;
    }
    lines.flush()?;
    cells.flush()?;
    Ok(())
}

const MAKE: &str = "CREATE TABLE items (_key INTEGER PRIMARY KEY, groupID INTEGER, name TEXT, description TEXT, mass REAL, \
                    published INTEGER, marketGroupID INTEGER);";

/// As `parser` sets its own connection.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;";

fn bare_loop(jsonl: &Path, place: &Path) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let connection = rusqlite::Connection::open(place)?;
    connection.execute_batch(&format!("{PRAGMAS} BEGIN; {MAKE}"))?;
    let mut insert = connection.prepare("INSERT INTO items VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let (mut reader, mut text) = (BufReader::with_capacity(1 << 20, std::fs::File::open(jsonl)?), String::new());
    while reader.read_line(&mut text)? > 0 {
        let record: Value = serde_json::from_str(&text)?;
        insert.execute(rusqlite::params![
            record["_key"].as_i64(),
            record["groupID"].as_i64(),
            record["name"].to_string(),
            record["description"].as_str(),
            record["mass"].as_f64(),
            record["published"].as_bool(),
            record["marketGroupID"].as_i64(),
        ])?;
        text.clear();
    }
    drop(insert);
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(started.elapsed())
}

fn parse_alone(jsonl: &Path) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let (mut reader, mut text) = (BufReader::with_capacity(1 << 20, std::fs::File::open(jsonl)?), String::new());
    while reader.read_line(&mut text)? > 0 {
        ensure!(serde_json::from_str::<Value>(&text)?.is_object(), "no object");
        text.clear();
    }
    Ok(started.elapsed())
}

fn others(folder: &Path, jsonl: &Path, csv: &Path, rows: u64, ways: &mut Vec<Way>) -> anyhow::Result<()> {
    let place = folder.join("other.db");
    let mut shell = Command::new("sqlite3");
    let import = format!(".import --csv {} items", csv.display());
    shell.arg(&place).args([&format!("{PRAGMAS} {MAKE}"), &import]);
    timed("sqlite3 .import of the rows as CSV", shell, &place, folder, rows, ways)?;
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bench/bin");
    let mut utils = Command::new(tools.join("sqlite-utils"));
    utils.args(["insert", "--nl", "--pk", "_key"]).arg(&place).arg("items").arg(jsonl);
    timed("sqlite-utils insert", utils, &place, folder, rows, ways)?;
    let attach = format!(
        "import duckdb, glob, duckdb_extension_sqlite_scanner as e; c = duckdb.connect(); \
         c.execute('LOAD ' + repr(glob.glob(e.__path__[0] + '/extensions/*/*')[0])); \
         c.execute(\"ATTACH '{}' AS s (TYPE sqlite)\");",
        place.display(),
    );
    let read = format!("FROM read_json('{}', format = 'newline_delimited')", jsonl.display());
    // The same table, and what it does of itself: one without a key, its localised names in a notation of its own.
    let same = "INSERT INTO s.items SELECT _key, groupID, to_json(name), description, mass, published, marketGroupID";
    for (name, make, fill) in [
        ("DuckDB read_json into the same table of an attached file", true, same),
        ("DuckDB read_json into a new one, without a key", false, "CREATE TABLE s.items AS SELECT *"),
    ] {
        let mut duckdb = Command::new("sh");
        let made = if make { format!("{PRAGMAS} {MAKE}") } else { String::new() };
        duckdb.args(["-c", "sqlite3 \"$2\" \"$3\" > made && exec \"$1\" -c \"$4\"", "sh"]);
        duckdb.arg(tools.join("python3")).arg(&place).arg(made).arg(format!("{attach} c.execute(\"{fill} {read}\")"));
        timed(name, duckdb, &place, folder, rows, ways)?;
    }
    let mut both = Command::new("sh");
    let script = format!(
        "\"$1\" -c \"import duckdb; duckdb.sql(\\\"COPY (SELECT * FROM read_json('{}', format = 'newline_delimited')) \
         TO '{}' (HEADER false)\\\")\" && sqlite3 '{}' '{PRAGMAS} {MAKE}' '.import --csv {1} items'",
        jsonl.display(),
        folder.join("duck.csv").display(),
        place.display(),
    );
    both.args(["-c", &script, "sh"]).arg(tools.join("python3"));
    timed("DuckDB read_json to CSV, then sqlite3 .import", both, &place, folder, rows, ways)
}

/// Runs one way into a fresh file; one that fails is said and left out.
fn timed(
    name: &'static str,
    mut command: Command,
    place: &Path,
    folder: &Path,
    rows: u64,
    ways: &mut Vec<Way>,
) -> anyhow::Result<()> {
    fresh(place)?;
    let log = folder.join("other.log");
    match measure(command.current_dir(folder), &log) {
        Ok(cost) => {
            check(place, rows).with_context(|| name)?;
            ways.push(Way { name, wall: cost.wall, peak: Some(cost.peak) });
        }
        Err(error) => {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let why = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            line(&format!("left out: {name}: {error} {why} (.ci/bench-tools.sh installs the tools)"));
        }
    }
    Ok(())
}

fn fresh(place: &Path) -> anyhow::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{ending}", place.display()));
        if file.exists() {
            std::fs::remove_file(file)?;
        }
    }
    // Nobody waits for the disk because of what another has left to be written.
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    Ok(())
}

fn check(place: &Path, rows: u64) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(place)?;
    let found: i64 = connection.query_row("SELECT count(*) FROM items", [], |row| row.get(0))?;
    ensure!(u64::try_from(found)? == rows, "{found} rows instead of {rows}");
    Ok(())
}

/// The median of each way, as Markdown, against the first.
fn print(ways: &[Way], rows: u64, bytes: u64) {
    line(&format!("tables: {rows} rows, {:.0} MB of JSON lines", float(bytes) / 1e6));
    line("| way | seconds | rows/s | MB/s | parser is faster | peak MiB |");
    line("|---|--:|--:|--:|--:|--:|");
    let mut names: Vec<&str> = Vec::new();
    for way in ways {
        if !names.contains(&way.name) {
            names.push(way.name);
        }
    }
    let median = |name: &str| {
        let mut walls: Vec<_> = ways.iter().filter(|way| way.name == name).map(|way| way.wall).collect();
        walls.sort();
        walls.get(walls.len() / 2).copied().unwrap_or_default().as_secs_f64()
    };
    let own = names.first().map_or(0.0, |name| median(name));
    for name in names {
        let seconds = median(name);
        let peak = ways.iter().filter(|way| way.name == name).filter_map(|way| way.peak).max();
        let peak = peak.map_or_else(|| "–".to_owned(), |peak| format!("{:.0}", mebibytes(peak)));
        line(&format!(
            "| {name} | {seconds:.2} | {:.0} | {:.0} | {:.2}× | {peak} |",
            float(rows) / seconds,
            float(bytes) / 1e6 / seconds,
            seconds / own
        ));
    }
}
