//! CSV.gz → nodes in PostgreSQL, new rows and rows that are there otherwise, beside what the same server does for `psql`
//! and for `pgloader`: each loads the same file into a table of its own and brings it in by the same statements, by hand.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::options::Options;
use crate::process::Cost;
use crate::report::{about, figure, float, line, mebibytes};
use crate::served::{Engine, Place};

const COLUMNS: &str = "reference_id, group_id, type, full_name, city, email, phone, notes";

/// What a person would write to bring a loaded table in.
const MERGE: &str = "
BEGIN;
INSERT INTO domains VALUES ('d', now()) ON CONFLICT DO NOTHING;
INSERT INTO matching_groups SELECT gen_random_uuid(), 'd', group_id, now() FROM (SELECT DISTINCT group_id FROM loaded) s
  ON CONFLICT DO NOTHING;
INSERT INTO nodes (id, reference_id, group_id, domain_id, type, created_at, updated_at)
  SELECT gen_random_uuid(), l.reference_id, g.id, 'd', l.type, now(), now()
  FROM loaded l JOIN matching_groups g ON g.domain_id = 'd' AND g.name = l.group_id
  ON CONFLICT (group_id, domain_id, reference_id)
  DO UPDATE SET type = excluded.type, updated_at = excluded.updated_at;
INSERT INTO node_metadata (node_id, metadata_key, metadata_value)
  SELECT n.id, m.k, m.v FROM loaded l JOIN matching_groups g ON g.domain_id = 'd' AND g.name = l.group_id
  JOIN nodes n ON n.group_id = g.id AND n.domain_id = 'd' AND n.reference_id = l.reference_id
  CROSS JOIN LATERAL (VALUES ('full_name', l.full_name), ('city', l.city), ('email', l.email), ('phone', l.phone),
    ('notes', l.notes)) m (k, v)
  ON CONFLICT (node_id, metadata_key) DO UPDATE SET metadata_value = excluded.metadata_value;
COMMIT;";

/// The table that others load into first.
const TABLE: &str = "DROP TABLE IF EXISTS loaded; CREATE UNLOGGED TABLE loaded (reference_id text, group_id text, \
     type text, full_name text, city text, email text, phone text, notes text)";

/// Who loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader {
    Parser,
    Psql,
    Pgloader,
}

impl Loader {
    const ALL: [Self; 3] = [Self::Parser, Self::Psql, Self::Pgloader];

    fn name(self) -> &'static str {
        match self {
            Self::Parser => "parser import",
            Self::Psql => "psql \\copy and the merge by hand",
            Self::Pgloader => "pgloader and the merge by hand",
        }
    }
}

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let rows = options.rows;
    let files = [file(rows, 0)?, file(rows, 1)?];
    reading(parser, &files[0], options)?;
    let mut rates = Vec::new();
    for loader in Loader::ALL {
        let (mut fresh, mut conflicting, mut peak) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.runs {
            let place = Place::new(Engine::Postgres)?;
            // Brings the tables up to date, and nothing else.
            place.measure(parser, &["process", "series"])?;
            for (file, rates) in files.iter().zip([&mut fresh, &mut conflicting]) {
                let (seconds, most) = load(loader, parser, &place, file)?;
                rates.push(float(rows) / seconds);
                peak.extend(most);
                check(&place, rows)?;
            }
        }
        about(
            &format!("CSV.gz → nodes, {rows} rows with 5 metadata columns, {}", loader.name()),
            &format!("-- nodes --rows {rows} --runs {}", options.runs),
        );
        figure("  new rows a second", fresh.clone(), "1/s", None);
        figure("  conflicting rows a second", conflicting.clone(), "1/s", None);
        if !peak.is_empty() {
            figure("  peak memory", peak, "MiB", None);
        }
        rates.push([median(fresh), median(conflicting)]);
    }
    let [own, psql, pgloader] = rates.try_into().map_err(|_| anyhow::anyhow!("three loaders"))?;
    for (index, what) in ["new", "conflicting"].into_iter().enumerate() {
        line(&format!(
            "  {what} rows: {:.2} of psql (goal ≥ 0.9), {:.2} of pgloader (goal ≥ 3)",
            own[index] / psql[index],
            own[index] / pgloader[index]
        ));
    }
    Ok(())
}

/// Gunzip and CSV alone: the program without a store, and one core that only finds where fields end.
fn reading(parser: &Path, file: &Path, options: &Options) -> anyhow::Result<()> {
    let path = file.to_str().context("a path that is no text")?;
    let (bytes, bare) = bare_reading(file)?;
    let place = Place::new(Engine::Sqlite)?;
    let Cost { wall, .. } =
        place.measure(parser, &["import", path, "--kind", "nodes", "--domain", "d", "--dry-run", "--json"])?;
    about(
        &format!("gunzip and CSV alone, {} rows", options.rows),
        &format!("-- nodes --rows {} --runs {}", options.rows, options.runs),
    );
    let rate = |seconds: f64| float(bytes) / 1e6 / seconds;
    figure("  parser import --dry-run", vec![rate(wall.as_secs_f64())], "MB/s of CSV", None);
    figure("  gunzip and csv-core, one core", vec![rate(bare)], "MB/s of CSV", None);
    Ok(())
}

/// How many bytes it unpacks to, and the seconds that took.
fn bare_reading(file: &Path) -> anyhow::Result<(u64, f64)> {
    let started = Instant::now();
    let mut input = flate2::read::MultiGzDecoder::new(File::open(file)?);
    let (mut reader, mut bytes) = (csv_core::Reader::new(), 0_u64);
    let (mut piece, mut out, mut ends) = (vec![0_u8; 256 << 10], vec![0_u8; 256 << 10], vec![0_usize; 64]);
    loop {
        let read = input.read(&mut piece)?;
        bytes += read as u64;
        let mut left = &piece[..read];
        loop {
            let (result, used, ..) = reader.read_record(left, &mut out, &mut ends);
            left = &left[used..];
            match result {
                csv_core::ReadRecordResult::InputEmpty => break,
                csv_core::ReadRecordResult::End => return Ok((bytes, started.elapsed().as_secs_f64())),
                csv_core::ReadRecordResult::Record => {}
                full => anyhow::bail!("{full:?}"),
            }
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A file of so many rows; another edition has the same keys and other values.
fn file(rows: u64, edition: u64) -> anyhow::Result<PathBuf> {
    let path = super::scratch()?.join(format!("nodes-{rows}-{edition}.csv.gz"));
    if path.exists() {
        return Ok(path);
    }
    let part = path.with_extension("part");
    let mut gzip = Command::new("gzip").arg("-1").stdin(Stdio::piped()).stdout(File::create(&part)?).spawn()?;
    {
        let mut out = BufWriter::new(gzip.stdin.take().context("no gzip")?);
        writeln!(out, "{}", COLUMNS.replace(", ", ","))?;
        for row in 0..rows {
            // Keys come in no order, as in life.
            let key = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let kind = ["USER", "MENTOR", "SEEKER"][usize::try_from((row + edition) % 3).unwrap_or(0)];
            let (group, city) = (row % 5, (row + edition * 7) % 97);
            writeln!(
                out,
                "u{key:011x}{row},g{group},{kind},\"Name {row}, {edition}\",City {city},u{row}.{edition}@example.test,\
                 +1 555 {row:07},note {edition} of row {row}"
            )?;
        }
        out.flush()?;
    }
    ensure!(gzip.wait()?.success(), "gzip has failed");
    std::fs::rename(&part, &path)?;
    Ok(path)
}

/// Seconds, and the loader's own peak memory.
fn load(loader: Loader, parser: &Path, place: &Place, file: &Path) -> anyhow::Result<(f64, Option<f64>)> {
    if loader == Loader::Parser {
        let file = file.to_str().context("a path that is no text")?;
        let arguments = ["import", file, "--kind", "nodes", "--domain", "d", "--json"];
        let Cost { wall, peak, .. } = place.measure(parser, &arguments)?;
        return Ok((wall.as_secs_f64(), Some(mebibytes(peak))));
    }
    psql(place, &["-c", TABLE], None)?;
    let started = Instant::now();
    let mut unpacked = Command::new("gzip").arg("-dc").arg(file).stdout(Stdio::piped()).spawn()?;
    let input = unpacked.stdout.take().context("no gzip")?;
    if loader == Loader::Psql {
        let copy = format!("\\copy loaded ({COLUMNS}) FROM STDIN (FORMAT csv, HEADER true)");
        psql(place, &["-c", &copy], Some(input.into()))?;
    } else {
        pgloader(place, input.into())?;
    }
    ensure!(unpacked.wait()?.success(), "gzip has failed");
    psql(place, &["-c", MERGE], None)?;
    Ok((started.elapsed().as_secs_f64(), None))
}

fn psql(place: &Place, arguments: &[&str], input: Option<Stdio>) -> anyhow::Result<String> {
    let mut command = Command::new("psql");
    command.args([place.url()?, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(arguments);
    let output = command.stdin(input.unwrap_or_else(Stdio::null)).output()?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn pgloader(place: &Place, input: Stdio) -> anyhow::Result<()> {
    let url = place.url()?.replacen("postgres://", "postgresql://", 1);
    let script = super::scratch()?.join("nodes.load");
    std::fs::write(
        &script,
        format!(
            "LOAD CSV FROM stdin ({COLUMNS}) INTO {url} TARGET TABLE loaded ({COLUMNS}) \
             WITH skip header = 1, fields optionally enclosed by '\"', fields terminated by ',';\n"
        ),
    )?;
    let output = Command::new("pgloader").arg(&script).stdin(input).output()?;
    ensure!(output.status.success(), "pgloader: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Everything is in.
fn check(place: &Place, rows: u64) -> anyhow::Result<()> {
    let found =
        psql(place, &["-c", "SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM node_metadata)"], None)?;
    ensure!(found.trim() == format!("{rows}|{}", rows * 5), "there are {found}");
    Ok(())
}
