//! Which rows a transaction has touched, as bits of their ids: what tells a key that comes again in one file from one
//! that was there before. Ids near each other share a word, so a dense table costs a bit a row.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Most groups of 64 ids, 40 MiB. Beyond it (a million keys far apart) a key that comes again counts as an update.
const MOST: usize = 1 << 20;

/// Ids, remembered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    groups: HashMap<i64, u64, BuildHasherDefault<Mixed>>,
    last: Option<(i64, u64)>,
}

impl Seen {
    /// Remembers it; `true` = it was known.
    pub(super) fn mark(&mut self, id: i64) -> bool {
        let (group, bit) = (id >> 6, 1_u64 << (id & 63));
        if self.last.is_none_or(|(last, _)| last != group) {
            if let Some((group, word)) = self.last.take() {
                self.groups.insert(group, word);
            }
            let full = self.groups.len() >= MOST;
            match self.groups.get(&group) {
                None if full => return false,
                word => self.last = Some((group, word.copied().unwrap_or_default())),
            }
        }
        let Some((_, word)) = &mut self.last else { return false };
        let known = *word & bit != 0;
        *word |= bit;
        known
    }
}

/// Numbers need no more mixing than this.
#[derive(Debug, Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn every_id_is_known_after_its_first_time() {
        let mut seen = Seen::default();
        let ids = [0, 1, 63, 64, 255, 256, -1, -256, -257, i64::MAX, i64::MIN, 1 << 40, 5];
        for id in ids {
            assert!(!seen.mark(id), "{id}");
        }
        for id in ids {
            assert!(seen.mark(id), "{id}");
        }
    }
}
