//! Bytes into lines: split at `\n` and nothing else, whatever the pieces they come in.
//!
//! A `\r` before the line's end and a byte order mark at the very start are dropped. A line without its `\n` at the end
//! of the bytes is a line; a line longer than the cap is counted, not kept. Blank lines are lines. Offsets count decoded
//! bytes (after gunzip) from the start of the object; a line's offset is that of its own first byte.

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};

/// Longest line that is kept, if nobody says otherwise.
pub const LINE_CAP: usize = 10 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Where a line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Its number; the first line is 1.
    pub line: u64,
    /// Decoded bytes before it.
    pub offset: u64,
}

impl Position {
    /// The start of an object.
    pub const START: Self = Self { line: 1, offset: 0 };
}

/// What there is between two line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line.
    Line {
        /// Where it begins.
        at: Position,
        /// Without its end.
        bytes: Bytes,
    },
    /// A line above the cap; its bytes are gone.
    Oversize {
        /// Where it begins.
        at: Position,
        /// Its length without its end.
        len: u64,
    },
}

impl Frame {
    /// Where it begins.
    pub fn at(&self) -> Position {
        match self {
            Self::Line { at, .. } | Self::Oversize { at, .. } => *at,
        }
    }
}

/// Cuts pushed bytes into lines. No I/O: [`Lines`] feeds one from a stream.
#[derive(Debug)]
pub struct Framer {
    cap: usize,
    /// Where the line begins that is being read.
    next: Position,
    /// Pushed and not looked at.
    chunk: Bytes,
    /// The begun line, without a `\n`.
    begun: BytesMut,
    /// Length of the begun line when it is above the cap and not kept.
    dropped: Option<Dropped>,
}

#[derive(Debug)]
struct Dropped {
    len: u64,
    mark: usize,
    ends_with_cr: bool,
}

impl Framer {
    /// Lines from `from` on, where the bytes begin with the line's first; at most `cap` bytes each.
    pub fn new(from: Position, cap: usize) -> Self {
        Self { cap, next: from, chunk: Bytes::new(), begun: BytesMut::new(), dropped: None }
    }

    /// Where the line after the last given one begins: whoever starts anew there misses and repeats nothing.
    pub fn position(&self) -> Position {
        self.next
    }

    /// More bytes. Whoever takes all lines first copies none of them but the one cut by the chunk's end.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.chunk.len() + chunk.len());
            joined.extend_from_slice(&self.chunk);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next whole line, if its end has come.
    pub fn take(&mut self) -> Option<Frame> {
        if let Some(end) = memchr::memchr(b'\n', &self.chunk) {
            let tail = self.chunk.split_to(end);
            self.chunk.advance(1);
            return Some(self.close(tail, 1));
        }
        let rest = std::mem::take(&mut self.chunk);
        self.hold(&rest);
        None
    }

    /// The last line, if the bytes do not end with a line's end. To be asked after [`Framer::take`] gave nothing.
    pub fn finish(&mut self) -> Option<Frame> {
        let rest = std::mem::take(&mut self.chunk);
        self.hold(&rest);
        let only_mark = self.next.offset == 0 && self.begun[..] == *BOM;
        if self.dropped.is_none() && (self.begun.is_empty() || only_mark) {
            self.begun.clear();
            return None;
        }
        Some(self.close(Bytes::new(), 0))
    }

    /// Keeps a part of a line whose end has not come.
    fn hold(&mut self, part: &[u8]) {
        // The line's own end and the mark do not count.
        let room = self.cap.saturating_add(1 + BOM.len());
        if let Some(dropped) = &mut self.dropped {
            dropped.add(part);
        } else if self.begun.len() + part.len() > room {
            let mut head = [0; BOM.len()];
            head.iter_mut().zip(self.begun.iter().chain(part)).for_each(|(to, byte)| *to = *byte);
            let mut dropped = Dropped { len: 0, mark: self.mark(&head), ends_with_cr: false };
            dropped.add(&self.begun);
            dropped.add(part);
            self.begun = BytesMut::new();
            self.dropped = Some(dropped);
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    /// Bytes of a mark that the line at hand begins with.
    fn mark(&self, line: &[u8]) -> usize {
        if self.next.offset == 0 && line.starts_with(BOM) { BOM.len() } else { 0 }
    }

    fn close(&mut self, tail: Bytes, end: u64) -> Frame {
        if self.begun.len() + tail.len() > self.cap.saturating_add(1 + BOM.len()) || self.dropped.is_some() {
            self.hold(&tail);
        }
        let start = self.next;
        if let Some(dropped) = self.dropped.take() {
            self.next = Position { line: start.line + 1, offset: start.offset + dropped.len + end };
            let at = Position { line: start.line, offset: start.offset + dropped.mark as u64 };
            let len = dropped.len - dropped.mark as u64 - u64::from(dropped.ends_with_cr);
            return Frame::Oversize { at, len };
        }
        let mut bytes = if self.begun.is_empty() {
            tail
        } else {
            self.begun.extend_from_slice(&tail);
            std::mem::take(&mut self.begun).freeze()
        };
        let mark = self.mark(&bytes);
        self.next = Position { line: start.line + 1, offset: start.offset + bytes.len() as u64 + end };
        bytes.advance(mark);
        let at = Position { line: start.line, offset: start.offset + mark as u64 };
        if bytes.ends_with(b"\r") {
            bytes.truncate(bytes.len() - 1);
        }
        if bytes.len() > self.cap { Frame::Oversize { at, len: bytes.len() as u64 } } else { Frame::Line { at, bytes } }
    }
}

impl Dropped {
    fn add(&mut self, part: &[u8]) {
        self.len += part.len() as u64;
        if let Some(last) = part.last() {
            self.ends_with_cr = *last == b'\r';
        }
    }
}

/// The lines of a stream of bytes. Nothing is lost when a caller gives up waiting for one and asks again.
#[derive(Debug)]
pub struct Lines<S> {
    stream: S,
    framer: Framer,
    ended: bool,
}

impl<S> Lines<S> {
    /// The lines of a stream from its start, at most `cap` bytes each.
    pub fn new(stream: S, cap: usize) -> Self {
        Self::starting_at(stream, Position::START, cap)
    }

    /// The lines of a stream whose first byte is that of the line at `from`.
    pub fn starting_at(stream: S, from: Position, cap: usize) -> Self {
        Self { stream, framer: Framer::new(from, cap), ended: false }
    }

    /// Where the line after the last given one begins.
    pub fn position(&self) -> Position {
        self.framer.position()
    }
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// The next line; `None` after the last. After an error of the stream, a line that it has cut is not given.
    pub async fn next(&mut self) -> Result<Option<Frame>, E> {
        loop {
            if let Some(frame) = self.framer.take() {
                return Ok(Some(frame));
            }
            if self.ended {
                return Ok(self.framer.finish());
            }
            match self.stream.next().await {
                Some(chunk) => self.framer.push(chunk?),
                None => self.ended = true,
            }
        }
    }
}
