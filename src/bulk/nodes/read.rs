//! The reading side: an object or a list that came with a request, cut into batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::gather::Gather;
use super::header::Header;
use super::{Options, row};
use crate::bulk::{BulkError, Row, Rows};
use crate::store::nodes::Batch;
use crate::store::objects::{Object, ObjectUrl, Sources, unpacked};

/// What it gives.
pub(super) enum Read {
    Header(Vec<String>),
    Batch { batch: Batch, read: u64, length: Option<u64> },
}

/// Where rows come from.
#[derive(Debug)]
pub(super) enum Input {
    /// An open object.
    Object(Box<Object>, ObjectUrl),
    /// Reference ids.
    Ids(Vec<String>),
}

impl Input {
    /// Opens an object, which has to be of this version.
    pub(super) async fn open(sources: &Sources, url: &ObjectUrl, tag: Option<&str>) -> Result<Self, BulkError> {
        let object = sources.open(url, 0, tag).await?;
        Ok(Self::Object(Box::new(object), url.clone()))
    }

    /// Ids as a JSON array.
    pub(super) fn ids(json: &[u8]) -> Result<Self, BulkError> {
        serde_json::from_slice(json).map(Self::Ids).map_err(|error| BulkError::Header {
            source_name: "reference_ids".to_owned(),
            reason: format!("they are no list of texts ({error})"),
        })
    }

    pub(super) fn tag(&self) -> Option<String> {
        match self {
            Self::Object(object, _) => object.tag().map(str::to_owned),
            Self::Ids(_) => None,
        }
    }

    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Object(object, _) => object.length(),
            Self::Ids(_) => None,
        }
    }
}

/// Reads to the end and sends batches of `piece` rows.
pub(super) async fn read(
    input: Input,
    options: Options,
    piece: u64,
    send: mpsc::Sender<Read>,
) -> Result<(), BulkError> {
    match input {
        Input::Object(object, url) => read_object(*object, url, options, piece, send).await,
        Input::Ids(ids) => read_ids(ids, &options, piece, send).await,
    }
}

async fn read_object(
    object: Object,
    url: ObjectUrl,
    options: Options,
    piece: u64,
    send: mpsc::Sender<Read>,
) -> Result<(), BulkError> {
    let length = object.length();
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    let packed = object.into_stream().inspect(move |piece| {
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        count.fetch_add(bytes, Ordering::Relaxed);
    });
    let mut bytes = unpacked(url.clone(), packed.boxed());
    let (mut rows, mut gather) = (Rows::new(options.max_row), Gather::new(piece));
    let mut header = options.nodes.refs.then(Header::of_ids);
    let mut ended = false;
    while !ended {
        if let Some(piece) = bytes.next().await {
            rows.push(&piece?);
        } else {
            rows.end();
            ended = true;
        }
        while let Some(row) = rows.take() {
            let Some(columns) = &header else {
                let found = columns_of(row, &url, &options)?;
                if send.send(Read::Header(found.names.clone())).await.is_err() {
                    return Ok(());
                }
                header = Some(found);
                continue;
            };
            let node = row::node(row, columns, options.nodes.group.as_deref());
            if let Some(batch) = gather.add(node, rows.position()) {
                let read = counted.load(Ordering::Relaxed);
                if send.send(Read::Batch { batch, read, length }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    if let Some(batch) = gather.rest() {
        let read = counted.load(Ordering::Relaxed);
        // Nobody listens any more only when the run has been stopped.
        let _ = send.send(Read::Batch { batch, read, length }).await;
    }
    Ok(())
}

fn columns_of(row: Row, url: &ObjectUrl, options: &Options) -> Result<Header, BulkError> {
    let fault = |reason: String| BulkError::Header { source_name: url.to_string(), reason };
    let Row::Fields { text, ends, .. } = row else {
        return Err(fault("the first row cannot be read".to_owned()));
    };
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let names: Result<Vec<String>, _> =
        starts.zip(&ends).map(|(start, end)| String::from_utf8(text[start..*end].to_vec())).collect();
    let names = names.map_err(|_| fault("the first row is not UTF-8".to_owned()))?;
    Header::read(names, options.nodes.group.is_some()).map_err(fault)
}

/// A list counts as one id a line.
async fn read_ids(ids: Vec<String>, options: &Options, piece: u64, send: mpsc::Sender<Read>) -> Result<(), BulkError> {
    let (header, mut gather, mut offset) = (Header::of_ids(), Gather::new(piece), 0);
    for (line, id) in (1..).zip(ids) {
        let text = id.into_bytes();
        let (raw, ends) = (Bytes::from(text.clone()), vec![text.len()]);
        let next = offset + text.len() as u64 + 1;
        let row = Row::Fields { line, offset, text, ends, raw };
        let node = row::node(row, &header, options.nodes.group.as_deref());
        offset = next;
        if let Some(batch) = gather.add(node, (offset, line))
            && send.send(Read::Batch { batch, read: offset, length: None }).await.is_err()
        {
            return Ok(());
        }
    }
    if let Some(batch) = gather.rest() {
        // As above.
        let _ = send.send(Read::Batch { batch, read: offset, length: None }).await;
    }
    Ok(())
}
