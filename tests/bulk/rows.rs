//! CSV: any bytes in any pieces, and rows that come out as they went in.

use parser::bulk::{Row, Rows};
use proptest::prelude::*;

fn rows(content: &[u8], sizes: &[usize], cap: usize) -> Vec<Row> {
    let (mut rows, mut found, mut rest) = (Rows::new(cap), Vec::new(), content);
    let mut sizes = sizes.iter().copied().cycle();
    loop {
        while let Some(row) = rows.take() {
            found.push(row);
        }
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at(sizes.next().unwrap().min(rest.len()));
        rows.push(head);
        rest = tail;
    }
    rows.end();
    while let Some(row) = rows.take() {
        found.push(row);
    }
    found
}

fn fields(row: &Row) -> Option<(u64, Vec<String>)> {
    let Row::Fields { line, text, ends, .. } = row else { return None };
    let starts = std::iter::once(0).chain(ends.iter().copied());
    Some((*line, starts.zip(ends).map(|(a, b)| String::from_utf8_lossy(&text[a..*b]).into_owned()).collect()))
}

fn messy() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        3 => Just(b"\"".to_vec()),
        3 => Just(b",".to_vec()),
        1 => Just(b"\xEF\xBB\xBF".to_vec()),
        3 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_pieces_give_the_same_rows(content in messy(), sizes in proptest::collection::vec(1..9usize, 1..4), cap in 1..60usize) {
        let whole = rows(&content, &[usize::MAX], cap);
        prop_assert_eq!(&rows(&content, &sizes, cap), &whole);
        let lines: Vec<u64> = whole.iter().map(|row| match row { Row::Fields { line, .. } | Row::Broken { line, .. } => *line }).collect();
        prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", lines);
    }

    #[test]
    fn rows_come_out_as_they_went_in(
        table in proptest::collection::vec(proptest::collection::vec("[a-c\",\n\r ü]{0,5}", 2..5), 0..12),
        crlf: bool,
        step in 1..30usize,
        broken in proptest::option::of(0..12usize),
    ) {
        let (mut content, mut expected) = (String::new(), Vec::new());
        let end = if crlf { "\r\n" } else { "\n" };
        for cells in &table {
            let cells_out: Vec<_> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            content.push_str(&cells_out.join(","));
            content.push_str(end);
            expected.push(cells.clone());
        }
        if broken.is_some() {
            // A quote that is never closed, in the last line but two.
            content.push_str(&["x,\"oops", "near,by", "and,one", ""].join(end));
            expected.push(vec!["near".to_owned(), "by".to_owned()]);
            expected.push(vec!["and".to_owned(), "one".to_owned()]);
        }
        let found = rows(content.as_bytes(), &[step], 1000);
        let cells: Vec<_> = found.iter().filter_map(fields).map(|(_, cells)| cells).collect();
        prop_assert_eq!(cells, expected);
        prop_assert_eq!(found.iter().filter(|row| matches!(row, Row::Broken { .. })).count(), usize::from(broken.is_some()));
    }
}

#[test]
fn every_line_end_counts_and_lines_are_those_of_the_file() {
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("a,b{end}{end}{end}c,\"d{end}e\"{end}f,g{end}");
        let found: Vec<_> = rows(text.as_bytes(), &[3], 100).iter().filter_map(fields).collect();
        let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 4, 6], "{end:?}");
        assert_eq!(found[1].1, ["c".to_owned(), format!("d{end}e")]);
    }
}

#[test]
fn a_long_row_costs_itself_only() {
    let long = "x".repeat(5000);
    let text = format!("a,1\n{long},2\nb,3\n\"{long}\n{long}\",4\nc,5\n");
    for step in [1, 7, 100_000] {
        let found = rows(text.as_bytes(), &[step], 1000);
        let kept: Vec<_> = found.iter().filter_map(fields).map(|(_, cells)| cells[0].clone()).collect();
        assert!(kept.contains(&"a".to_owned()) && kept.contains(&"b".to_owned()), "{kept:?}");
        let broken = found
            .iter()
            .filter(|row| matches!(row, Row::Broken { code: "row_too_long", raw, .. } if raw.len() <= 1000));
        assert_eq!(broken.count(), 3, "{step}");
        // The second half of the broken row ends with an opened quote, whose line it takes with it.
        assert!(kept.contains(&"c".to_owned()), "{kept:?}");
    }
}
