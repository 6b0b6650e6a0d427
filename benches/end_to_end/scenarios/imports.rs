//! Records through the imports API: one batch of JSON lines, from its first byte to the end of the import.
//!
//! With `DATABASE_URL=postgres://…` (an empty database) on PostgreSQL, else on SQLite.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::options::Options;
use crate::process::Helper;
use crate::report::{figure, float, line};

const RECORDS: u64 = 50_000;
const TOKEN: &str = "a-token-of-the-benchmark-with-32-characters";

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        let state = super::scratch()?.join("imports");
        if state.exists() {
            std::fs::remove_dir_all(&state)?;
        }
        std::fs::create_dir_all(&state)?;
        let mut command = Command::new(parser);
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(&state).env("INTERNAL_TOKEN", TOKEN);
        let (served, address) = Helper::start(&mut command, |line| {
            line.strip_prefix("listening on http://").map(|address| address.trim().to_owned())
        })?;
        // On a server the records of the run before are there already: each run has names of its own.
        let mut body = String::new();
        for at in 0..RECORDS {
            writeln!(
                body,
                "{{\"kind\":\"series\",\"source_name\":\"bench-{run}-{}\",\"external_id\":\"{at}\",\
                 \"payload\":{{\"title\":\"Title {at}\",\"year\":2000,\"genres\":[\"Drama\",\"Comedy\"],\
                 \"description\":\"{}\"}}}}",
                std::process::id(),
                "word ".repeat(40)
            )?;
        }
        let (started, cpu) = (Instant::now(), served.cpu()?);
        let import = ask(&address, "POST", "/api/v1/imports", "application/json", br#"{"source":"bench"}"#)?;
        let path = format!("/api/v1/imports/{}", import["id"].as_str().context("no import")?);
        ask(&address, "POST", &format!("{path}/batches"), "application/x-ndjson", body.as_bytes())?;
        ask(&address, "PATCH", &format!("{path}/finalise"), "application/json", b"")?;
        loop {
            let now = ask(&address, "GET", &path, "application/json", b"")?;
            if now["status"] == "completed" {
                ensure!(now["results"]["completed"] == RECORDS, "not all are in: {now}");
                break;
            }
            ensure!(now["status"] == "started", "it ended as {now}");
            std::thread::sleep(Duration::from_millis(20));
        }
        rates.push(float(RECORDS) / started.elapsed().as_secs_f64());
        costs.push(served.cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6 / float(RECORDS));
    }
    line(&format!("imports: {RECORDS} records as JSON lines"));
    figure("  records a second", rates, "1/s", None);
    figure("  CPU of the server a record", costs, "µs", None);
    Ok(())
}

/// One request in HTTP/1.0: the answer ends with the connection.
fn ask(address: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    let length = if method == "GET" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n{kind}{length}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 20"), "{head}: {body}");
    Ok(serde_json::from_str(body)?)
}
