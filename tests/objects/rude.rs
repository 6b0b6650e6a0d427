//! An HTTP server that does what a test says: cuts, lies, redirects, hangs; by itself or before another server.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request, as far as tests ask.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) nth: usize,
    pub(crate) path: String,
    head: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// `n` of `Range: bytes=n-`.
    pub(crate) fn start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is sent; then the connection is closed, or left open without a word.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hangs: bool,
}

/// A running server. It ends with the process: its thread waits for connections for ever.
pub(crate) struct Rude {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Rude {
    pub(crate) fn new(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                std::thread::spawn(move || serve(stream.unwrap(), &log, &*reply));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, reply: &dyn Fn(&Asked) -> Reply) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let asked = {
        let mut log = log.lock().unwrap();
        let asked = Asked { nth: log.len(), path, head };
        log.push(asked.clone());
        asked
    };
    let reply = reply(&asked);
    let _ = stream.write_all(&reply.bytes);
    if reply.hangs {
        // Until the client has gone.
        let _ = stream.read(&mut [0]);
    }
}

/// An answer with these header lines and this body.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Reply {
    let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Reply { bytes, hangs: false }
}

/// What an honest server answers, cut after so many bytes of the body.
pub(crate) fn honest(asked: &Asked, content: &[u8], etag: &str, cut: usize) -> Reply {
    let etag = format!("ETag: {etag}");
    let start = asked.start().unwrap_or(0);
    if start >= content.len() && asked.start().is_some() {
        return answer("416 No", &[&format!("Content-Range: bytes */{}", content.len())], b"");
    }
    let body = &content[start..];
    let length = format!("Content-Length: {}", body.len());
    let sent = &body[..cut.min(body.len())];
    if asked.start().is_none() {
        return answer("200 OK", &[&etag, &length], sent);
    }
    let range = format!("Content-Range: bytes {start}-{}/{}", content.len() - 1, content.len());
    answer("206 Part", &[&etag, &length, &range], sent)
}

/// What the server at `host:port` answers to the same request (of none with a body), cut after so many bytes of the body. Who signs asks this
/// server, and its name is passed on with the rest: the signature is as good there.
pub(crate) fn through(asked: &Asked, target: &str, cut: usize) -> Reply {
    let mut server = TcpStream::connect(target).unwrap();
    // Its answer's end is the connection's. That line is not signed.
    let head = asked.head.strip_suffix("\r\n").unwrap();
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes).unwrap();
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    bytes.truncate(body + cut);
    Reply { bytes, hangs: false }
}
