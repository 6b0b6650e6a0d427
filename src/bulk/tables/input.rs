//! Where lines come from: an object, from a place in it on, or standard input.

use std::io::Read as _;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::bulk::BulkError;
use crate::bulk::inputs::Source;
use crate::bulk::long_lines::LongLines;
use crate::error::Party;
use crate::store::StoreError;
use crate::store::objects::{Object, ObjectBytes, ObjectError, ObjectUrl, Packing, Position, Sources, unpacked};

/// Bytes that are read of standard input at once.
const PIECE: usize = 128 << 10;

/// An open input.
pub(in crate::bulk) struct Input {
    pub(in crate::bulk) tag: Option<String>,
    /// Bytes as they are kept.
    pub(super) length: Option<u64>,
    /// As they are kept; counted by whoever reads.
    pub(in crate::bulk) kept: ObjectBytes,
    /// What unpacking complains about.
    pub(in crate::bulk) url: ObjectUrl,
    /// Unpacked bytes before the first that is wanted.
    pub(super) skip: u64,
    /// Bytes that were skipped at the source.
    pub(super) skipped: u64,
    /// Keeps the lines that are too long, if it cannot be read again.
    pub(super) long: Option<LongLines>,
}

impl Input {
    /// Opens it. With a tag it has to be that version.
    pub(super) async fn open(
        sources: &Sources,
        source: &Source,
        from: Position,
        tag: Option<&str>,
        long: Option<&LongLines>,
    ) -> Result<Self, BulkError> {
        let url = match source {
            // It has to be the same again; nobody can tell.
            Source::Stdin => return Ok(Self { skip: from.offset, long: long.cloned(), ..stdin() }),
            Source::Object(url) => url.clone(),
        };
        let mut object = sources.open(&url, 0, tag).await?;
        let (tag, length) = (object.tag().map(str::to_owned), object.length());
        let mut head = Vec::new();
        if from.offset > 0 {
            head = first(&mut object).await?;
            let start: Vec<u8> = head.iter().flatten().copied().take(4).collect();
            if Packing::of(&start) == Packing::Plain {
                // What is plain is asked for from there on; the end of it gives no bytes.
                let kept = if length == Some(from.offset) {
                    futures::stream::empty().boxed()
                } else {
                    sources.open(&url, from.offset, tag.as_deref()).await?.into_stream().boxed()
                };
                return Ok(Self { tag, length, kept, url, skip: 0, skipped: from.offset, long: None });
            }
        }
        let kept = futures::stream::iter(head.into_iter().map(Ok)).chain(object.into_stream()).boxed();
        Ok(Self { tag, length, kept, url, skip: from.offset, skipped: 0, long: None })
    }

    /// The unpacked bytes from the wanted one on. `counted` hears of every byte as it is kept.
    pub(super) fn bytes(self, counted: impl Fn(u64) + Send + 'static) -> ObjectBytes {
        counted(self.skipped);
        let kept = self.kept.inspect(move |piece| counted(piece.as_ref().map_or(0, |piece| piece.len() as u64)));
        let bytes = if self.skipped > 0 { kept.boxed() } else { unpacked(self.url.clone(), kept.boxed()) };
        let bytes = match &self.long {
            Some(long) => long.watch(bytes),
            None => bytes,
        };
        if self.skip == 0 {
            return bytes;
        }
        // It is the version that was read before, so it is long enough.
        let mut left = self.skip;
        let rest = bytes.map(move |piece| {
            piece.map(|mut piece| {
                let known = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                left -= known as u64;
                piece.advance(known);
                piece
            })
        });
        rest.boxed()
    }
}

/// Gives the lines that begin at these offsets, lines that are too long to be held, in their order to `write`, piece by
/// piece and each with its end: from where they were kept, else from their source, which is read once more. How many they
/// are, and what was in the way of more.
pub async fn copy_lines(
    sources: &Sources,
    (source, long): (&Source, Option<&LongLines>),
    offsets: &[u64],
    mut write: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> (u64, Result<(), BulkError>) {
    let mut copied = 0;
    let end = match (source, long) {
        (Source::Stdin, Some(long)) => {
            let (lines, end) = long.copy(offsets, write).await;
            copied = lines;
            end.map_err(BulkError::from)
        }
        (Source::Stdin, None) => Ok(()),
        (Source::Object(_), _) => copy_again(sources, source, offsets, &mut copied, &mut write).await,
    };
    (copied, end)
}

async fn copy_again(
    sources: &Sources,
    source: &Source,
    offsets: &[u64],
    copied: &mut u64,
    write: &mut impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), BulkError> {
    let Some(first) = offsets.first() else { return Ok(()) };
    let input = Input::open(sources, source, Position { line: 0, offset: *first }, None, None).await?;
    let (mut bytes, mut at, mut wanted) = (input.bytes(|_| ()), *first, offsets.iter().peekable());
    let mut inside = false;
    while let Some(piece) = bytes.next().await {
        let mut piece = piece?;
        while !piece.is_empty() {
            let len = if inside {
                let end = memchr::memchr(b'\n', &piece);
                let len = end.map_or(piece.len(), |end| end + 1);
                write(&piece[..len])?;
                inside = end.is_none();
                *copied += u64::from(!inside);
                len
            } else {
                let Some(next) = wanted.peek() else { return Ok(()) };
                let left = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
                if left == 0 {
                    inside = true;
                    wanted.next();
                }
                left.min(piece.len())
            };
            piece.advance(len);
            at += len as u64;
        }
    }
    if inside {
        write(b"\n")?;
        *copied += 1;
    }
    Ok(())
}

/// Keeps bytes in a file without a name and gives them from there: whoever reads them then waits for no network.
pub(super) async fn spooled(mut bytes: ObjectBytes) -> Result<ObjectBytes, BulkError> {
    let fault = |error: std::io::Error| StoreError::from_io(&std::env::temp_dir(), Party::Backend, &error);
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(fault)?);
    while let Some(piece) = bytes.next().await {
        file.write_all(&piece?).await.map_err(fault)?;
    }
    file.flush().await.map_err(fault)?;
    file.rewind().await.map_err(fault)?;
    let kept = futures::stream::try_unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await.map_err(|error| ObjectError::Damaged {
            address: std::env::temp_dir().display().to_string(),
            reason: error.to_string(),
        })?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    });
    Ok(kept.boxed())
}

/// Standard input, on a thread of its own: a read of a terminal or a pipe cannot be called back, and must not keep the process.
pub(in crate::bulk) fn stdin() -> Input {
    let (send, receive) = tokio::sync::mpsc::channel(4);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut piece = vec![0; PIECE];
            let read = match input.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    piece.truncate(read);
                    Ok(Bytes::from(piece))
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(ObjectError::Damaged { address: "-".to_owned(), reason: error.to_string() }),
            };
            let failed = read.is_err();
            if send.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    let kept: BoxStream<'static, _> =
        futures::stream::unfold(
            receive,
            |mut receive| async move { receive.recv().await.map(|piece| (piece, receive)) },
        )
        .boxed();
    Input { tag: None, length: None, kept, url: ObjectUrl::File("-".into()), skip: 0, skipped: 0, long: None }
}

/// The first pieces, enough to tell the packing.
async fn first(object: &mut Object) -> Result<Vec<Bytes>, ObjectError> {
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length < 4
        && let Some(piece) = object.next().await?
    {
        length += piece.len();
        pieces.push(piece);
    }
    Ok(pieces)
}
