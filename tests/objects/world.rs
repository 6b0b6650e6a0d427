//! Sources with settings, and what is read from them.

use std::io::Write as _;

use parser::config::{Layers, Needs, ObjectSettings, Settings};
use parser::store::objects::{Frame, ObjectError, ObjectUrl, Position, Sources, StartAt};

/// Settings with these on top of short waits.
pub(crate) fn settings(given: &[(&str, &str)]) -> ObjectSettings {
    let mut all = vec![("IMPORT_READ_BACKOFF_SECONDS", "0.005"), ("IMPORT_READ_TIMEOUT_SECONDS", "20")];
    all.extend_from_slice(given);
    Settings::load(&Layers::from_environment(all), Needs::default()).unwrap().objects
}

pub(crate) fn listed(given: &[(&str, &str)]) -> Sources {
    Sources::listed(&settings(given)).unwrap()
}

/// The whole object as it is kept.
pub(crate) async fn bytes(sources: &Sources, address: &str) -> Result<Vec<u8>, ObjectError> {
    bytes_from(sources, address, 0, None).await
}

pub(crate) async fn bytes_from(
    sources: &Sources,
    address: &str,
    at: u64,
    tag: Option<&str>,
) -> Result<Vec<u8>, ObjectError> {
    let mut object = sources.open(&ObjectUrl::parse(address)?, at, tag).await?;
    let mut all = Vec::new();
    while let Some(piece) = object.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Every line as `number:offset:text`, from a position on.
pub(crate) async fn lines(sources: &Sources, address: &str, from: StartAt<'_>) -> Result<Vec<String>, ObjectError> {
    let mut lines = sources.lines(&ObjectUrl::parse(address)?, from, 1 << 20).await?;
    let mut all = Vec::new();
    while let Some(frame) = lines.next().await? {
        let Position { line, offset } = frame.at();
        all.push(match frame {
            Frame::Line { bytes, .. } => format!("{line}:{offset}:{}", String::from_utf8_lossy(&bytes)),
            Frame::Oversize { len, .. } => format!("{line}:{offset}:<{len}>"),
        });
    }
    Ok(all)
}

/// Numbered lines of different lengths, about as many bytes as asked for.
pub(crate) fn text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 100);
    let mut number = 0u64;
    while text.len() < bytes {
        let pad = "x".repeat(usize::try_from(number % 61).unwrap());
        writeln!(text, "{{\"number\":{number},\"pad\":\"{pad}\"}}").unwrap();
        number += 1;
    }
    text
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
