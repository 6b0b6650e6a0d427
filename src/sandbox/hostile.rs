//! Bodies that a careful client must survive: endless, exploding, nested, cut, dripping.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use futures::stream;

use super::reply::Reply;
use super::serve::with_body;

const MEBI: usize = 1024 * 1024;

/// 64 MiB of white space inside an array, sent from one small buffer, without a length.
pub(super) fn huge_body() -> Response {
    static BLANK: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![b' '; MEBI]));
    let pieces = (0..65).map(|piece| {
        Ok::<_, Infallible>(if piece == 0 { Bytes::from_static(b"{\"results\":[") } else { BLANK.clone() })
    });
    Response::builder()
        .header(http::header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Body::from_stream(stream::iter(pieces)))
        .unwrap_or_default()
}

/// A valid gzip member that unpacks to 256 MiB, built from one packed mebibyte repeated.
pub(super) fn gzip_bomb() -> Reply {
    static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let blank = vec![b' '; MEBI];
        let mut packed = Vec::with_capacity(64 * 1024);
        let mut compress = Compress::new(Compression::best(), false);
        // A full flush ends on a whole byte and forgets the past, so the block may be repeated.
        let _ = compress.compress_vec(&blank, &mut packed, FlushCompress::Full);
        let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        for _ in 0..256 {
            let _ = bomb.write_all(&packed);
        }
        bomb
    });
    Reply::json_bytes(200, BOMB.clone()).with("content-encoding", "gzip")
}

/// A hundred thousand brackets.
pub(super) fn deep_json() -> Reply {
    const DEPTH: usize = 100_000;
    let mut body = b"{\"results\":".to_vec();
    body.resize(body.len() + DEPTH, b'[');
    body.resize(body.len() + DEPTH, b']');
    body.push(b'}');
    Reply::json_bytes(200, body)
}

/// What a protection service shows to those it takes for robots.
pub(super) fn challenge() -> Reply {
    Reply::html(
        200,
        "<!DOCTYPE html><html><head><title>Checking your browser</title></head><body><noscript>Please enable JavaScript</noscript></body></html>",
    )
}

/// Announces the whole length, sends half and breaks the connection.
pub(super) fn truncated(mut reply: Reply) -> Response {
    let body = Bytes::from(std::mem::take(&mut reply.body));
    let length = body.len().max(2);
    let half = body.slice(..body.len() / 2);
    let pieces = stream::unfold(0, move |step| {
        let half = half.clone();
        async move {
            match step {
                0 => Some((Ok(half), 1)),
                1 => {
                    // The half must be on its way before the connection breaks.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), 2))
                }
                _ => None,
            }
        }
    });
    with_body(&reply, length, Body::from_stream(pieces))
}

/// The whole body, in twenty pieces over two seconds.
pub(super) fn dripping(mut reply: Reply) -> Response {
    let body = Bytes::from(std::mem::take(&mut reply.body));
    let length = body.len();
    let piece = length.div_ceil(20).max(1);
    let pieces = stream::unfold(0, move |start: usize| {
        let body = body.clone();
        async move {
            if start >= body.len() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            let end = (start + piece).min(body.len());
            Some((Ok::<_, Infallible>(body.slice(start..end)), end))
        }
    });
    with_body(&reply, length, Body::from_stream(pieces))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{MEBI, gzip_bomb};

    #[test]
    fn the_bomb_unpacks() {
        let reply = gzip_bomb();
        assert!(reply.body.len() < MEBI, "{}", reply.body.len());
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(reply.body.as_slice()).take(3 * MEBI as u64);
        decoder.read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked.len(), 3 * MEBI);
    }
}
