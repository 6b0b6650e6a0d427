//! Puts an answer's body together within its cap.
//!
//! A body without a length (packed, or chunked) in one buffer that grows by doubling holds the old and the new space at
//! once: up to three times the cap. Blocks that stay where they are hold what has arrived, and the one copy at the end is
//! made only of a body that is taken.

use bytes::Bytes;

/// Space of one block, in bytes.
const BLOCK: usize = 256 * 1024;

/// What has arrived of a body. Holds at most the cap and a block; [`Body::whole`] at most twice the cap.
pub(super) struct Body {
    limit: u64,
    /// How much is still to come, if the answer said so. Only a hint, and within the cap.
    announced: usize,
    length: u64,
    /// The usual small answer is one chunk and is not copied.
    first: Bytes,
    blocks: Vec<Vec<u8>>,
}

/// The body is larger than its cap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Body {
    /// An empty body of at most `limit` bytes, of which `announced` are said to come.
    pub(super) fn new(limit: u64, announced: Option<u64>) -> Result<Self, TooLarge> {
        let announced = announced.unwrap_or(0);
        if announced > limit {
            return Err(TooLarge);
        }
        let announced = usize::try_from(announced).map_err(|_| TooLarge)?;
        Ok(Self { limit, announced, length: 0, first: Bytes::new(), blocks: Vec::new() })
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), TooLarge> {
        self.length = self.length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.length > self.limit {
            return Err(TooLarge);
        }
        if self.first.is_empty() && self.blocks.is_empty() {
            self.first = chunk;
            return Ok(());
        }
        if self.blocks.is_empty() {
            self.blocks.push(Vec::with_capacity(self.announced.max(BLOCK)));
            let first = std::mem::take(&mut self.first);
            self.append(&first);
        }
        self.append(&chunk);
        Ok(())
    }

    /// Fills the last block and begins new ones; none ever grows.
    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.blocks.last_mut().filter(|block| block.len() < block.capacity()) {
                Some(block) => {
                    let (now, later) = bytes.split_at(bytes.len().min(block.capacity() - block.len()));
                    block.extend_from_slice(now);
                    bytes = later;
                }
                None => self.blocks.push(Vec::with_capacity(BLOCK)),
            }
        }
    }

    /// The whole body in one piece.
    pub(super) fn whole(mut self) -> Bytes {
        match self.blocks.len() {
            0 => self.first,
            1 => self.blocks.pop().unwrap_or_default().into(),
            _ => {
                let mut whole = Vec::with_capacity(self.blocks.iter().map(Vec::len).sum());
                // Each block is freed as soon as it is copied.
                self.blocks.into_iter().for_each(|block| whole.extend_from_slice(&block));
                whole.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a body is cut, and whatever length was announced: it is the same body, or too large.
        #[test]
        fn a_body_is_its_pieces(
            pieces in vec((any::<u8>(), prop_oneof![0..40usize, 0..700_000usize]), 0..6),
            announced in prop_oneof![Just(None), (0..2_000_000u64).prop_map(Some)],
            limit in prop_oneof![0..100u64, 0..3_000_000u64],
        ) {
            let pieces: Vec<Bytes> = pieces.into_iter().map(|(byte, length)| vec![byte; length].into()).collect();
            let expected = pieces.concat();
            let fits = announced.unwrap_or(0) <= limit && u64::try_from(expected.len()).unwrap() <= limit;
            let taken = Body::new(limit, announced).and_then(|mut body| {
                for piece in pieces {
                    body.push(piece)?;
                    none_has_grown(&body);
                }
                Ok(body.whole())
            });
            prop_assert_eq!(taken.as_deref().ok(), fits.then_some(&expected[..]));
        }
    }

    /// Blocks have the space they were made with.
    fn none_has_grown(body: &Body) {
        assert!(body.blocks.iter().skip(1).all(|block| block.capacity() == BLOCK));
        assert!(body.blocks.first().is_none_or(|block| block.capacity() == BLOCK.max(body.announced)));
    }
}
