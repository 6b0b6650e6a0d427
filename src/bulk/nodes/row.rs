//! One row into one node, or into the reason why it is none. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::header::{Header, kind_of};
use crate::bulk::Row;
use crate::model::LONGEST_NODE_KEY;
use crate::store::imports::FailedRow;
use crate::store::nodes::NodeRow;

/// The node of a row. `group`: the one group of the job, if there is one.
pub(super) fn node(row: Row, header: &Header, group: Option<&str>) -> Result<NodeRow, Box<FailedRow>> {
    let (at, text, ends, raw) = match row {
        Row::Broken { line, offset, code, raw } => {
            let message = match code {
                "row_too_long" => "the row is longer than is read",
                _ => "a quote is never closed",
            };
            return Err(failure((line, offset), None, code, message.to_owned(), raw));
        }
        Row::Fields { line, offset, text, ends, raw } => ((line, offset), text, ends, raw),
    };
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let cells: Result<Vec<&str>, _> =
        starts.zip(&ends).map(|(start, end)| std::str::from_utf8(&text[start..*end])).collect();
    let Ok(cells) = cells else {
        return Err(failure(at, None, "not_utf8", "a cell is not UTF-8".to_owned(), raw));
    };
    let cell = |index: usize| cells.get(index).copied().unwrap_or_default().trim();
    let reference = cell(header.reference);
    let refuse = |code: &str, message: String| {
        let named = (!reference.is_empty() && reference.len() <= LONGEST_NODE_KEY && !reference.contains('\0'))
            .then(|| reference.to_owned());
        Err(failure(at, named, code, message, raw.clone()))
    };
    if cells.iter().skip(header.names.len()).any(|cell| !cell.trim().is_empty()) {
        let message = format!("{} cells under {} columns", cells.len(), header.names.len());
        return refuse("too_many_cells", message);
    }
    if cells.iter().any(|cell| cell.contains('\0')) {
        return refuse("nul_character", "a cell holds a NUL character".to_owned());
    }
    if reference.is_empty() {
        return refuse("reference_missing", "it has no reference id".to_owned());
    }
    let own_group = header.group.map(cell).filter(|cell| !cell.is_empty());
    let group = match (own_group, group) {
        (Some(own), Some(job)) if own != job => {
            return refuse("other_group", format!("its group `{}` is not that of the job", shortened(own)));
        }
        (Some(group), _) | (None, Some(group)) => group,
        (None, None) => return refuse("group_missing", "it has no group id".to_owned()),
    };
    if reference.len() > LONGEST_NODE_KEY || group.len() > LONGEST_NODE_KEY {
        return refuse("key_too_long", format!("reference id and group have at most {LONGEST_NODE_KEY} bytes"));
    }
    let metadata: BTreeMap<String, String> = header
        .metadata
        .iter()
        .map(|(index, key)| (key.clone(), one_line(cell(*index))))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    Ok(NodeRow {
        group: group.to_owned(),
        reference: reference.to_owned(),
        kind: header.kind.and_then(|index| kind_of(cell(index))),
        metadata,
        line: at.0,
        offset: at.1,
        original: raw,
    })
}

/// A row that is no node. `at`: its line, and where its first byte stands.
pub(super) fn failure(
    (line, offset): (u64, u64),
    external_id: Option<String>,
    code: &str,
    message: String,
    raw: Bytes,
) -> Box<FailedRow> {
    let (kind, code) = ("node".to_owned(), code.to_owned());
    Box::new(FailedRow { line, offset, kind, external_id, code, message, original: Some(raw) })
}

/// Line ends within a value become spaces.
fn one_line(value: &str) -> String {
    if value.contains(['\n', '\r']) { value.replace("\r\n", " ").replace(['\n', '\r'], " ") } else { value.to_owned() }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
