//! The smallest HTTP client: one connection that stays open, one request after the other, as a load generator needs it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::served::TOKEN;

pub(crate) const JSON: &str = "application/json";
pub(crate) const LINES: &str = "application/x-ndjson";

/// Bytes of a body that are sent at once.
const PIECE: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    output: Vec<u8>,
}

impl Client {
    pub(crate) fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), output: Vec::new() })
    }

    /// One request that must succeed; its answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.output.clear();
        write!(self.output, "{method} {path} HTTP/1.1\r\nHost: bench\r\nX-Internal-Token: {TOKEN}\r\n")?;
        if method != "GET" {
            write!(self.output, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())?;
        }
        self.output.extend_from_slice(b"\r\n");
        self.output.extend_from_slice(body);
        let stream = self.stream.get_mut();
        stream.write_all(&self.output)?;
        self.answer().with_context(|| format!("{method} {path}"))
    }

    /// The same, with a JSON answer.
    pub(crate) fn json(&mut self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Ok(serde_json::from_slice(&self.ask(method, path, JSON, body.as_bytes())?)?)
    }

    /// A body of any length, made while it is sent.
    pub(crate) fn stream(&mut self, path: &str, lines: impl Iterator<Item = String>) -> anyhow::Result<Value> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nX-Internal-Token: {TOKEN}\r\nContent-Type: {LINES}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let output = self.stream.get_mut();
        output.write_all(head.as_bytes())?;
        let mut piece = String::with_capacity(2 * PIECE);
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            piece.push_str(&line);
            piece.push('\n');
            if piece.len() >= PIECE || lines.peek().is_none() {
                output.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes())?;
                piece.clear();
            }
        }
        output.write_all(b"0\r\n\r\n")?;
        Ok(serde_json::from_slice(&self.answer().with_context(|| format!("POST {path}"))?)?)
    }

    fn answer(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status: u16 = line.split(' ').nth(1).context("no answer")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "an answer in pieces");
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}
