//! Framing: any bytes in any pieces give the same lines, each where it is.

use bytes::Bytes;
use futures::stream;
use parser::store::objects::{Frame, Lines, Position};
use proptest::prelude::*;

/// What the lines must be, found in the simplest way.
fn expected(content: &[u8], cap: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut offset = 0;
    for (index, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let start = offset;
        offset += line.len();
        let mark = if start == 0 && line.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let ended = line.ends_with(b"\n");
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !ended && line.len() == mark {
            continue;
        }
        let line = &line[mark..];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let at = Position { line: index as u64 + 1, offset: (start + mark) as u64 };
        frames.push(if line.len() > cap {
            Frame::Oversize { at, len: line.len() as u64 }
        } else {
            Frame::Line { at, bytes: Bytes::copy_from_slice(line) }
        });
    }
    frames
}

fn chunks(content: &[u8], sizes: &[usize]) -> Vec<Result<Bytes, String>> {
    let mut rest = content;
    let mut sizes = sizes.iter().copied().cycle();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
        chunks.push(Ok(Bytes::copy_from_slice(head)));
        rest = tail;
    }
    chunks
}

fn frames(content: &[u8], sizes: &[usize], cap: usize, from: Position) -> (Vec<Frame>, Vec<Position>) {
    let mut lines = Lines::starting_at(stream::iter(chunks(content, sizes)), from, cap);
    let (mut frames, mut ends) = (Vec::new(), vec![lines.position()]);
    while let Some(frame) = futures::executor::block_on(lines.next()).unwrap() {
        frames.push(frame);
        ends.push(lines.position());
    }
    (frames, ends)
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\xEF\xBB\xBF".to_vec()),
        1 => Just(b"\xEF\xBB".to_vec()),
        1 => Just(b"\0".to_vec()),
        3 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_pieces_give_the_same_lines(
        content in content(),
        sizes in proptest::collection::vec(1..9usize, 1..5),
        cap in 0..12usize,
    ) {
        let expected = expected(&content, cap);
        let (found, ends) = frames(&content, &sizes, cap, Position::START);
        prop_assert_eq!(&found, &expected);
        // Whoever begins at any of the positions gets the rest, no more and no less.
        for (index, end) in ends.iter().enumerate().filter(|(_, end)| end.offset > 0) {
            let at = usize::try_from(end.offset).unwrap();
            let (rest, _) = frames(&content[at..], &sizes, cap, *end);
            prop_assert_eq!(&rest[..], &expected[index..]);
        }
    }
}

#[test]
fn a_broken_stream_gives_whole_lines_and_its_error() {
    let chunks = vec![Ok(Bytes::from_static(b"a\nb\nhal")), Err("broken"), Ok(Bytes::from_static(b"f\n"))];
    let mut lines = Lines::new(stream::iter(chunks), 10);
    let mut next = || futures::executor::block_on(lines.next());
    assert!(matches!(next(), Ok(Some(Frame::Line { bytes, .. })) if bytes == "a"));
    assert!(matches!(next(), Ok(Some(Frame::Line { bytes, .. })) if bytes == "b"));
    assert_eq!(next(), Err("broken"));
    assert_eq!(lines.position(), Position { line: 3, offset: 4 });
}

#[test]
fn a_huge_line_is_counted_and_not_kept() {
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let chunks = (0..256).map(move |_| Ok::<_, ()>(chunk.clone())).chain([Ok(Bytes::from_static(b"\r\nshort"))]);
    let mut lines = Lines::new(stream::iter(chunks), 1000);
    let mut next = || futures::executor::block_on(lines.next()).unwrap().unwrap();
    assert_eq!(next(), Frame::Oversize { at: Position::START, len: 256 << 20 });
    let at = Position { line: 2, offset: (256 << 20) + 2 };
    assert_eq!(next(), Frame::Line { at, bytes: Bytes::from_static(b"short") });
}
