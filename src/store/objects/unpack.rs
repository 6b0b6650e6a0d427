//! Unpacks gzip (any number of members) and zstd (any number of frames), told by the first bytes and not by a name.
//!
//! Bytes go in and come out piece by piece, so that a small file that unpacks to terabytes costs time, not memory.

use std::io::Write as _;

use bytes::{Buf as _, Bytes, BytesMut};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

const GZIP: &[u8] = b"\x1f\x8b\x08";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// Bytes that tell the packing.
const MAGIC: usize = 4;

/// Largest piece that comes out of zstd at once.
const PIECE: usize = 128 << 10;

/// How an object is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Packing {
    /// Told by the first bytes of an object.
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(GZIP) {
            Self::Gzip
        } else if head.starts_with(ZSTD) || is_skippable(head) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }
}

/// zstd's frames that hold no data; some writers begin with one.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Unpacks what is pushed. After each [`Unpacker::push`], [`Unpacker::pull`] is asked until it gives nothing.
pub struct Unpacker {
    input: Bytes,
    state: State,
}

enum State {
    /// Too few bytes yet to tell.
    Start(BytesMut),
    Plain,
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    /// The decoder; whether a frame has begun and not ended; whether it may hold output that found no place.
    Zstd {
        decoder: Decoder<'static>,
        open: bool,
        more: bool,
    },
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacker({:?})", self.packing())
    }
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { input: Bytes::new(), state: State::Start(BytesMut::new()) }
    }
}

impl Unpacker {
    /// How it is packed; `None` before enough bytes came.
    pub fn packing(&self) -> Option<Packing> {
        match self.state {
            State::Start(_) => None,
            State::Plain => Some(Packing::Plain),
            State::Gzip(_) => Some(Packing::Gzip),
            State::Zstd { .. } => Some(Packing::Zstd),
        }
    }

    /// More packed bytes.
    pub fn push(&mut self, chunk: Bytes) -> std::io::Result<()> {
        if let State::Start(head) = &mut self.state {
            head.extend_from_slice(&chunk);
            if head.len() >= MAGIC {
                let head = std::mem::take(head).freeze();
                self.begin(head)?;
            }
        } else if self.input.is_empty() {
            self.input = chunk;
        } else {
            self.input = [&self.input[..], &chunk].concat().into();
        }
        Ok(())
    }

    fn begin(&mut self, head: Bytes) -> std::io::Result<()> {
        self.state = match Packing::of(&head) {
            Packing::Plain => State::Plain,
            Packing::Gzip => State::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new()))),
            Packing::Zstd => State::Zstd { decoder: Decoder::new()?, open: false, more: false },
        };
        self.input = head;
        Ok(())
    }

    /// The next piece; `None` when more has to be pushed first. Pieces are small whatever they come from.
    pub fn pull(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Start(_) => return Ok(None),
                State::Plain => {
                    let piece = self.input.split_to(self.input.len().min(PIECE));
                    return Ok(Some(piece).filter(|bytes| !bytes.is_empty()));
                }
                State::Gzip(decoder) => {
                    if self.input.is_empty() {
                        return Ok(None);
                    }
                    // One call unpacks at most one inner buffer (32 KiB).
                    let taken = decoder.write(&self.input)?;
                    self.input.advance(taken);
                    let out = std::mem::take(decoder.get_mut());
                    if !out.is_empty() {
                        return Ok(Some(out.into()));
                    }
                    if taken == 0 {
                        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "gzip data goes nowhere"));
                    }
                }
                State::Zstd { decoder, open, more } => {
                    if self.input.is_empty() && !*more {
                        return Ok(None);
                    }
                    let mut out = vec![0; PIECE];
                    let mut to = OutBuffer::around(&mut out[..]);
                    let mut from = InBuffer::around(&self.input);
                    let hint = decoder.run(&mut from, &mut to)?;
                    let (taken, made) = (from.pos(), to.pos());
                    self.input.advance(taken);
                    *open = hint != 0;
                    *more = made == PIECE && *open;
                    if made > 0 {
                        out.truncate(made);
                        return Ok(Some(out.into()));
                    }
                    if taken == 0 && !self.input.is_empty() {
                        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "zstd data goes nowhere"));
                    }
                }
            }
        }
    }

    /// After the last push and pull: what is left; an error if the packing is not at its end.
    pub fn finish(&mut self) -> std::io::Result<Option<Bytes>> {
        let cut = |what: &str| Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, what.to_owned()));
        match &mut self.state {
            State::Start(head) => {
                let head = std::mem::take(head).freeze();
                self.state = State::Plain;
                Ok(Some(head).filter(|head| !head.is_empty()))
            }
            State::Plain => Ok(None),
            State::Gzip(decoder) => match decoder.try_finish() {
                Ok(()) => Ok(Some(std::mem::take(decoder.get_mut()).into()).filter(|out: &Bytes| !out.is_empty())),
                Err(_) => cut("it ends within its gzip data"),
            },
            State::Zstd { open: false, .. } => Ok(None),
            State::Zstd { .. } => cut("it ends within its zstd data"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::Unpacker;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], step: usize) -> std::io::Result<Vec<u8>> {
        let mut unpacker = Unpacker::default();
        let mut out = Vec::new();
        for chunk in packed.chunks(step) {
            unpacker.push(Bytes::copy_from_slice(chunk))?;
            while let Some(piece) = unpacker.pull()? {
                assert!(piece.len() <= 256 << 10, "a piece of {} bytes", piece.len());
                out.extend_from_slice(&piece);
            }
        }
        if let Some(rest) = unpacker.finish()? {
            out.extend_from_slice(&rest);
        }
        Ok(out)
    }

    #[test]
    fn members_and_frames_are_joined_whatever_the_pieces() {
        let (a, b) = (vec![b'a'; 300_000], b"b\n".to_vec());
        let whole = [&a[..], &b].concat();
        let gz = [gzip(&a), gzip(b""), gzip(&b)].concat();
        let zst = [zstd::encode_all(&a[..], 1).unwrap(), zstd::encode_all(&b[..], 1).unwrap()].concat();
        let skippable = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &zst].concat();
        for packed in [gz, zst, skippable, whole.clone()] {
            for step in [1, 2, 3, 7, 1000, 1 << 20] {
                assert!(unpack(&packed, step).unwrap() == whole, "{} bytes in steps of {step}", packed.len());
            }
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_an_error() {
        let text: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        for packed in [gzip(&text), zstd::encode_all(&text[..], 1).unwrap()] {
            for end in [5, 11, packed.len() / 2, packed.len() - 1] {
                assert!(unpack(&packed[..end], 100).is_err(), "cut at {end} of {}", packed.len());
            }
            let mut broken = packed.clone();
            let middle = broken.len() / 2;
            broken[middle] ^= 0x55;
            broken[middle + 1] ^= 0x55;
            // zstd checks no sum unless the writer adds one: other bytes, or an error.
            assert!(unpack(&broken, 100).map_or(true, |out| out != text));
        }
        let followed = [gzip(b"x"), b"rubbish".to_vec()].concat();
        assert!(unpack(&followed, 100).is_err());
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::copy(&mut std::io::repeat(0).take(64 << 20), &mut encoder).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb, usize::MAX).unwrap().len(), 64 << 20);
        let bomb = zstd::encode_all(std::io::repeat(0).take(64 << 20), 1).unwrap();
        assert_eq!(unpack(&bomb, usize::MAX).unwrap().len(), 64 << 20);
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(head in 0..4usize, rest in proptest::collection::vec(any::<u8>(), 0..200), step in 1..50usize) {
            let magic: &[u8] = [&b""[..], b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x51\x2a\x4d\x18"][head];
            let bytes = [magic, &rest[..]].concat();
            let result = unpack(&bytes, step);
            if super::Packing::of(&bytes) == super::Packing::Plain {
                prop_assert_eq!(result.unwrap(), bytes);
            }
        }
    }
}
