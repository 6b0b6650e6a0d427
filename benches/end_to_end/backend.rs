//! The smallest backend that speaks the import contract: takes everything, keeps nothing, counts requests.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::process::Helper;
use crate::report;

/// Makes this program a backend.
pub(crate) const FLAG: &str = "--serve-backend";

const BODY: &str = r#"{"success":true,"message":"imported","errors":null}"#;

/// A running backend.
#[derive(Debug)]
pub(crate) struct Backend {
    _helper: Helper,
    pub(crate) url: String,
}

impl Backend {
    /// Starts one as a process of its own.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let (helper, url) = Helper::start(command.arg(FLAG), |line| Some(line.trim().to_owned()))?;
        Ok(Self { _helper: helper, url })
    }

    /// POSTs taken so far.
    pub(crate) fn posts(&self) -> anyhow::Result<u64> {
        use std::io::{Read as _, Write as _};

        let mut stream = std::net::TcpStream::connect(self.url.trim_start_matches("http://"))?;
        stream.write_all(b"GET /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let count = answer.rsplit("\r\n\r\n").next().unwrap_or_default();
        Ok(count.trim().parse()?)
    }
}

/// Serves until the process is killed.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        report::line(&format!("http://{}", listener.local_addr()?));
        let posts = Arc::new(AtomicU64::new(0));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let posts = Arc::clone(&posts);
            // A client that goes away ends its connection, nothing else.
            tokio::spawn(async move { connection(stream, &posts).await.ok() });
        }
    })
}

async fn connection(mut stream: TcpStream, posts: &AtomicU64) -> std::io::Result<()> {
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let mut input = Vec::with_capacity(16 * 1024);
    loop {
        let Some((head, length)) = whole(&input) else {
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            continue;
        };
        if input.starts_with(b"GET") {
            let count = posts.load(Ordering::Relaxed);
            stream.write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{count}").as_bytes()).await?;
            return Ok(());
        }
        posts.fetch_add(1, Ordering::Relaxed);
        input.drain(..head + length);
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Lengths of head and body, once both are there.
fn whole(input: &[u8]) -> Option<(usize, usize)> {
    let head = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&input[..head]).ok()?;
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    (input.len() >= head + length).then_some((head, length))
}
