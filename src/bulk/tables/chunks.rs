//! Bytes into chunks of whole lines. Where a chunk ends depends on the bytes alone, not on the pieces they come in.

use bytes::{Bytes, BytesMut};

use crate::store::objects::Position;

/// Bytes of a chunk, unless a line is longer.
pub(super) const CHUNK: usize = 1 << 20;

/// Some lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Where its first line begins.
    pub(super) at: Position,
    /// Where the line after its last begins.
    pub(super) end: Position,
    /// The lines, the last one with or without its end.
    pub(super) bytes: Bytes,
    /// It is one line that was too long to be kept, of so many bytes.
    pub(super) oversize: Option<u64>,
}

/// Cuts pushed bytes. No I/O.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Longest line.
    cap: usize,
    begun: BytesMut,
    next: Position,
    /// Of `begun`, looked through for a line's end without finding one.
    looked: usize,
    /// A line above the cap is being thrown away; its bytes so far.
    dropping: Option<u64>,
}

impl Chunks {
    /// From a line's beginning on.
    pub(super) fn new(from: Position, cap: usize) -> Self {
        Self { cap, begun: BytesMut::new(), next: from, looked: 0, dropping: None }
    }

    /// More bytes. To be asked for chunks before the next ones are pushed.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
    }

    /// The next chunk, if there are bytes enough.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        if let Some(dropped) = self.dropping {
            return self.drop_on(dropped);
        }
        if self.begun.len() < CHUNK {
            return None;
        }
        // The last line's end in the chunk, or, if its one line is longer, the first behind.
        let end = memchr::memrchr(b'\n', &self.begun[..CHUNK]).or_else(|| {
            let from = self.looked.max(CHUNK);
            memchr::memchr(b'\n', &self.begun[from..]).map(|found| from + found)
        });
        match end {
            Some(end) if end <= self.room() => {
                self.looked = 0;
                Some(self.cut(end + 1, true))
            }
            None if self.begun.len() <= self.room() => {
                self.looked = self.begun.len();
                None
            }
            _ => {
                self.looked = 0;
                self.drop_on(0)
            }
        }
    }

    /// The rest, after the last push and take.
    pub(super) fn finish(&mut self) -> Option<Chunk> {
        if let Some(dropped) = self.dropping.take() {
            let len = dropped + self.begun.len() as u64;
            self.begun.clear();
            return Some(self.oversize(len, 0));
        }
        if self.begun.is_empty() {
            return None;
        }
        let ended = self.begun.last() == Some(&b'\n');
        Some(self.cut(self.begun.len(), ended))
    }

    /// A line and its `\r` and mark.
    fn room(&self) -> usize {
        self.cap.saturating_add(4).max(CHUNK)
    }

    fn cut(&mut self, len: usize, ended: bool) -> Chunk {
        let bytes = self.begun.split_to(len).freeze();
        let at = self.next;
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64 + u64::from(!ended);
        self.next = Position { line: at.line + lines, offset: at.offset + bytes.len() as u64 };
        Chunk { at, end: self.next, bytes, oversize: None }
    }

    /// Throws the begun line away up to its end, if that is here.
    fn drop_on(&mut self, dropped: u64) -> Option<Chunk> {
        let Some(end) = memchr::memchr(b'\n', &self.begun) else {
            self.dropping = Some(dropped + self.begun.len() as u64);
            self.begun.clear();
            return None;
        };
        self.dropping = None;
        // What follows stays.
        let rest = self.begun.split_off(end + 1);
        self.begun = rest;
        Some(self.oversize(dropped + end as u64, 1))
    }

    fn oversize(&mut self, len: u64, end: u64) -> Chunk {
        let at = self.next;
        self.next = Position { line: at.line + 1, offset: at.offset + len + end };
        Chunk { at, end: self.next, bytes: Bytes::new(), oversize: Some(len) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CHUNK, Chunk, Chunks};
    use crate::store::objects::Position;

    fn cut(content: &[u8], steps: &[usize], cap: usize) -> Vec<Chunk> {
        let (mut chunks, mut found, mut rest) = (Chunks::new(Position::START, cap), Vec::new(), content);
        let mut steps = steps.iter().copied().cycle();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(steps.next().unwrap().min(rest.len()));
            chunks.push(head);
            while let Some(chunk) = chunks.take() {
                found.push(chunk);
            }
            rest = tail;
        }
        found.extend(chunks.finish());
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_is_lost_and_pieces_do_not_matter(
            lengths in proptest::collection::vec(prop_oneof![0..50usize, 0..CHUNK, CHUNK..CHUNK * 3], 1..9),
            steps in proptest::collection::vec(1000..CHUNK * 2, 1..4),
            ended: bool,
        ) {
            let cap = CHUNK * 2;
            let mut content = Vec::new();
            for length in &lengths {
                content.resize(content.len() + length, b'x');
                content.push(b'\n');
            }
            if !ended {
                content.pop();
            }
            let whole = cut(&content, &[usize::MAX], cap);
            prop_assert_eq!(&cut(&content, &steps, cap), &whole);
            let (mut at, mut long) = (Position::START, 0);
            for chunk in &whole {
                prop_assert_eq!(chunk.at, at);
                at = chunk.end;
                long += usize::from(chunk.oversize.is_some());
                if chunk.oversize.is_none() {
                    let from = usize::try_from(chunk.at.offset).unwrap();
                    prop_assert_eq!(&chunk.bytes[..], &content[from..from + chunk.bytes.len()]);
                }
            }
            prop_assert_eq!(at.offset, content.len() as u64);
            prop_assert_eq!(long, lengths.iter().filter(|length| **length > cap + 4).count());
            let lines = lengths.len() as u64 - u64::from(!ended && *lengths.last().unwrap() == 0);
            prop_assert_eq!(at.line, lines + 1);
        }
    }
}
