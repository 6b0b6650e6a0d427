//! Lines of standard input that are too long to be held, kept on the disk while they pass: a pipe cannot be read again.
//!
//! What has begun and not ended is written to a file without a name and forgotten again when it turns out to be short. So a
//! stream of ordinary lines costs no more than the line that a piece of it breaks, and memory never holds more than a
//! mebibyte of one.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::lock::Mutex;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::error::Party;
use crate::store::StoreError;
use crate::store::objects::ObjectBytes;

/// Bytes of a begun line that are held before there is a file.
const HELD: usize = 1 << 20;

/// Bytes that are copied at once.
const PIECE: usize = 128 << 10;

/// The lines of one stream that are longer than a cap, to be asked for by their offsets.
#[derive(Debug, Clone)]
pub struct LongLines(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    /// Where its file is.
    folder: PathBuf,
    /// Bytes of a line that is kept at least.
    cap: u64,
    /// Where the begun line begins in the stream, and its bytes so far.
    begun: (u64, u64),
    /// Those bytes, unless they are in the file.
    held: Vec<u8>,
    file: Option<File>,
    /// Bytes of the file that are kept for good.
    full: u64,
    kept: Vec<Kept>,
    /// The disk would not take more. What came before is there.
    failed: Option<std::io::Error>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Where it begins in the stream, and in the file.
    offset: u64,
    place: u64,
    len: u64,
}

impl LongLines {
    /// Of lines that are longer than `cap` bytes, kept in this folder, which is made when it is needed.
    pub fn new(folder: PathBuf, cap: usize) -> Self {
        let lines = Lines {
            folder,
            cap: cap as u64,
            begun: (0, 0),
            held: Vec::new(),
            file: None,
            full: 0,
            kept: Vec::new(),
            failed: None,
        };
        Self(Arc::new(Mutex::new(lines)))
    }

    /// The same bytes, looked at as they pass.
    pub(super) fn watch(&self, bytes: ObjectBytes) -> ObjectBytes {
        let lines = Arc::clone(&self.0);
        bytes
            .then(move |piece| {
                let lines = Arc::clone(&lines);
                async move {
                    if let Ok(piece) = &piece {
                        lines.lock().await.see(piece).await;
                    }
                    piece
                }
            })
            .boxed()
    }

    /// Gives the kept ones that begin at these offsets, in their order, to `write`, piece by piece and each with its end; how
    /// many they are, and what was in the way of more.
    pub(super) async fn copy(
        &self,
        offsets: &[u64],
        mut write: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> (u64, Result<(), StoreError>) {
        let mut lines = self.0.lock().await;
        // The last one may have no end.
        lines.end();
        let mut copied = 0;
        for offset in offsets {
            match lines.copy(*offset, &mut write).await {
                Ok(true) => copied += 1,
                Ok(false) => break,
                Err(error) => return (copied, Err(error)),
            }
        }
        let failed = lines.failed.as_ref().filter(|_| copied < offsets.len() as u64);
        (copied, failed.map_or(Ok(()), |error| Err(lines.fault(error))))
    }
}

impl Lines {
    /// More of the stream.
    async fn see(&mut self, piece: &[u8]) {
        // Of a part that is no longer than the cap, no line that begins and ends in it is too long.
        let most = usize::try_from(self.cap).unwrap_or(usize::MAX).max(1);
        for mut part in piece.chunks(most) {
            if self.begun.1 > 0 {
                let end = memchr::memchr(b'\n', part).map(|end| end + 1);
                let (head, tail) = part.split_at(end.unwrap_or(part.len()));
                self.add(head).await;
                if end.is_some() {
                    self.end();
                }
                part = tail;
            }
            let whole = memchr::memrchr(b'\n', part).map_or(0, |end| end + 1);
            self.begun.0 += whole as u64;
            self.add(&part[whole..]).await;
        }
    }

    /// More of the begun line.
    async fn add(&mut self, bytes: &[u8]) {
        self.begun.1 += bytes.len() as u64;
        if self.failed.is_some() {
            return;
        }
        let most = usize::try_from(self.cap).unwrap_or(HELD).min(HELD);
        if self.begun.1 <= most as u64 {
            self.held.extend_from_slice(bytes);
        } else if let Err(error) = self.write(bytes).await {
            self.failed = Some(error);
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            tokio::fs::create_dir_all(&self.folder).await?;
            // Beside what it will be copied to: a folder for short-lived files may be memory.
            self.file.insert(File::from_std(tempfile::tempfile_in(&self.folder)?))
        };
        let before = self.begun.1 - bytes.len() as u64;
        // What is in the file of this line: all that came before, or nothing yet.
        let written = before - self.held.len() as u64;
        file.seek(std::io::SeekFrom::Start(self.full + written)).await?;
        file.write_all(&self.held).await?;
        self.held = Vec::new();
        file.write_all(bytes).await?;
        file.flush().await
    }

    /// The begun line is at its end, or the stream is.
    fn end(&mut self) {
        let (offset, len) = self.begun;
        if len > self.cap && self.failed.is_none() {
            self.kept.push(Kept { offset, place: self.full, len });
            self.full += len;
        }
        self.held.clear();
        self.begun = (offset + len, 0);
    }

    /// One line; `false` = it is not there.
    async fn copy(
        &mut self,
        offset: u64,
        write: &mut impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let Ok(at) = self.kept.binary_search_by_key(&offset, |line| line.offset) else { return Ok(false) };
        let (Some(line), Some(file)) = (self.kept.get(at), &mut self.file) else { return Ok(false) };
        let fault = |error: std::io::Error| StoreError::from_io(&self.folder, Party::Backend, &error);
        file.seek(std::io::SeekFrom::Start(line.place)).await.map_err(fault)?;
        let (mut rest, mut piece, mut last) = (file.take(line.len), vec![0; PIECE], b'\n');
        loop {
            let read = rest.read(&mut piece).await.map_err(fault)?;
            let Some(end) = piece[..read].last() else { break };
            last = *end;
            write(&piece[..read])?;
        }
        if last != b'\n' {
            write(b"\n")?;
        }
        Ok(true)
    }

    fn fault(&self, error: &std::io::Error) -> StoreError {
        StoreError::from_io(&self.folder, Party::Backend, error)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::StreamExt as _;
    use proptest::prelude::*;

    use super::LongLines;

    /// What passes, and what of the lines at these offsets is kept.
    fn kept(content: &[u8], pieces: &[usize], cap: usize, offsets: &[u64]) -> (Vec<u8>, Vec<u8>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let (mut rest, mut sent) = (content, Vec::new());
        for len in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*len).min(rest.len()));
            sent.push(Ok(Bytes::copy_from_slice(piece)));
            rest = tail;
        }
        let lines = LongLines::new(folder.path().join("new"), cap);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let passed: Vec<_> = lines.watch(futures::stream::iter(sent).boxed()).collect().await;
            let mut found = Vec::new();
            let write = |bytes: &[u8]| {
                found.extend_from_slice(bytes);
                Ok(())
            };
            let (copied, end) = lines.copy(offsets, write).await;
            end.unwrap();
            (passed.into_iter().flat_map(Result::unwrap).collect(), found, copied)
        })
    }

    proptest! {
        #[test]
        fn every_line_above_the_cap_is_kept_and_everything_passes(
            lengths in proptest::collection::vec(0..60_usize, 1..30),
            pieces in proptest::collection::vec(1..90_usize, 1..5),
            cap in 1..40_usize,
            ended: bool,
        ) {
            let (mut content, mut long, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
            for (number, length) in (b'a'..).zip(&lengths) {
                let offset = content.len();
                content.resize(offset + length, number);
                content.push(b'\n');
                if *length > cap {
                    offsets.push(offset as u64);
                    long.extend_from_slice(&content[offset..]);
                }
            }
            if !ended {
                content.pop();
            }
            let (passed, found, copied) = kept(&content, &pieces, cap, &offsets);
            prop_assert_eq!(passed, content);
            prop_assert_eq!((found, copied), (long, offsets.len() as u64));
        }
    }

    #[test]
    fn a_line_that_was_short_is_not_there() {
        let (_, found, copied) = kept(b"short\nlonger than that\n", &[4], 10, &[0, 6]);
        assert_eq!((found.as_slice(), copied), (b"".as_slice(), 0));
    }
}
