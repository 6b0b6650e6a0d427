//! A chunk of lines into rows: pure, on whichever thread has time. A line that is no record is rejected with its reason
//! and does not touch its neighbours.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::chunks::Chunk;
use super::scan::{Fault, Members, Value, unescaped};
use crate::backend::imports::depth;
use crate::store::imported::{
    Cell, Datum, Definition, Field, Key, Kinds, LINE_KEY, MOST_COLUMNS, Reject, RowAt, Rows, Span,
};
use crate::store::objects::Position;

/// What a file may begin with, and no record does.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Longest key in bytes: PostgreSQL's indexes take little more.
const LONGEST_KEY: usize = 1000;

/// Deeper JSON is nobody's value.
const DEEPEST: usize = 128;

/// The field of a value that was taken back: no table has so many.
const NOWHERE: u16 = u16::MAX;

/// How the records of one file are read.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) key: Key,
    /// The columns that there are, if there may be no others.
    pub(super) frozen: Option<Definition>,
    /// Fields of the table and of the records so far: there may not be more than a table has columns.
    fields: Mutex<Vec<String>>,
}

impl Rules {
    pub(super) fn new(key: Key, known: Option<&Definition>, frozen: bool) -> Self {
        let fields = known.map(|known| known.columns.iter().map(|column| column.field.clone()).collect());
        let frozen = known.filter(|_| frozen).cloned();
        Self { key, frozen, fields: Mutex::new(fields.unwrap_or_default()) }
    }

    /// May records have this field, too?
    fn has_room(&self, name: &str) -> bool {
        let mut fields = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        if fields.iter().any(|field| field == name) {
            return true;
        }
        let room = fields.len() < MOST_COLUMNS;
        if room {
            fields.push(name.to_owned());
        }
        room
    }
}

/// The field that tells records apart, as the first record has it.
pub(super) fn key_of(chunk: &Chunk) -> Option<Key> {
    let mark = usize::from(chunk.at == Position::START && chunk.bytes.starts_with(MARK)) * MARK.len();
    for line in chunk.bytes[mark..].split(|byte| *byte == b'\n') {
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let (mut members, mut key, mut any) = (Members::of(text), Key::Line, false);
        loop {
            match members.next() {
                Ok(Some((name, value))) => {
                    any = true;
                    let usable = !matches!(value, Value::Null | Value::Nested(_));
                    // `_key` is more of a key than `id`.
                    if usable && (name == "_key" || (name == "id" && key == Key::Line)) {
                        key = Key::Field(name.into_owned());
                    }
                }
                Ok(None) if any => return Some(key),
                Ok(None) | Err(_) => break,
            }
        }
    }
    None
}

/// Why a line is no row.
struct Refused {
    code: &'static str,
    message: String,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self { code: "malformed", message: format!("not a JSON object: byte {} wants {}", fault.at + 1, fault.wants) }
    }
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code, message: message.into() })
}

/// Reads a chunk.
pub(super) fn parse(chunk: &Chunk, rules: &Arc<Rules>) -> Rows {
    let rows = Rows { source: chunk.bytes.clone(), end: Some(chunk.end), ..Rows::default() };
    let mut parser = Parser {
        rules,
        rows,
        about: Vec::new(),
        by_name: HashMap::new(),
        previous: Vec::new(),
        current: Vec::new(),
        attempts: 0,
        keys: HashMap::new(),
        dead: Vec::new(),
    };
    if let Some(len) = chunk.oversize {
        parser.rows.rejects.push(Reject {
            at: chunk.at,
            code: "line_too_long",
            message: format!("the line has {len} bytes, more than IMPORT_MAX_LINE_MIB allows"),
            original: Bytes::new(),
        });
        return parser.rows;
    }
    // One look at all of it is faster than one at each line.
    let all = std::str::from_utf8(&chunk.bytes).ok();
    let (mut at, mut start) = (chunk.at, 0);
    while start < chunk.bytes.len() {
        let rest = &chunk.bytes[start..];
        let end = memchr::memchr(b'\n', rest).map_or(chunk.bytes.len(), |found| start + found);
        let mark = if at == Position::START && rest.starts_with(MARK) { MARK.len() } else { 0 };
        let mut last = end;
        if last > start + mark && chunk.bytes[last - 1] == b'\r' {
            last -= 1;
        }
        parser.line(chunk, all, start + mark..last, Position { line: at.line, offset: at.offset + mark as u64 });
        at = Position { line: at.line + 1, offset: at.offset + (end - start) as u64 + 1 };
        start = end + 1;
    }
    parser.close()
}

/// What is known of a field of the chunk.
struct About {
    /// What the table's column holds, where it may not hold more.
    frozen: Option<(Kinds, bool)>,
    /// The last row that has it, and where in its cells.
    stamp: (u32, u32),
}

/// A key, the same for the number 5 and the text "5", which a column of text does not tell apart.
#[derive(PartialEq, Eq, Hash)]
enum KeyValue {
    Int(i64),
    Text(Vec<u8>),
    Line([u8; 16]),
}

struct Parser<'r> {
    rules: &'r Arc<Rules>,
    rows: Rows,
    about: Vec<About>,
    by_name: HashMap<String, u16>,
    /// Fields of the row before: the next one mostly has the same in the same order.
    previous: Vec<u16>,
    /// Those of the row at hand.
    current: Vec<u16>,
    /// Lines looked at.
    attempts: u32,
    /// Which row has a key.
    keys: HashMap<KeyValue, u32>,
    /// Rows whose key came again.
    dead: Vec<u32>,
}

impl Parser<'_> {
    fn line(&mut self, chunk: &Chunk, all: Option<&str>, range: std::ops::Range<usize>, at: Position) {
        let bytes = &chunk.bytes[range.clone()];
        if bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return;
        }
        let text = match all {
            Some(all) => all.get(range.clone()).ok_or(0),
            None => std::str::from_utf8(bytes).map_err(|error| error.valid_up_to()),
        };
        let (cells, kept) = (self.rows.cells.len(), self.rows.unescaped.len());
        let read = match text {
            Ok(text) => self.row(text, range.start, at),
            Err(valid) => refuse("invalid_utf8", format!("not UTF-8 from byte {} of the line on", valid + 1)),
        };
        if let Err(Refused { code, message }) = read {
            self.rows.cells.truncate(cells);
            self.rows.unescaped.truncate(kept);
            // A copy: it outlives the chunk.
            let original = Bytes::copy_from_slice(bytes);
            self.rows.rejects.push(Reject { at, code, message, original });
        }
    }

    fn row(&mut self, text: &str, start: usize, at: Position) -> Result<(), Refused> {
        let (number, first) = (index(self.rows.rows.len()), self.rows.cells.len());
        // Lines that were refused count, too: their stamps are nobody's.
        self.attempts += 1;
        let stamp = self.attempts;
        let mut members = Members::of(text);
        let mut nth = 0;
        self.current.clear();
        while let Some((name, value)) = members.next()? {
            let field = self.field(&name, nth)?;
            nth += 1;
            self.current.push(field);
            let datum = self.datum(text, start, value)?;
            if let (Some(datum), Some((seen, is_key))) = (datum, self.about[usize::from(field)].frozen) {
                let with = seen.and(kinds(datum));
                let fits = if is_key { with.key_kind() == seen.key_kind() } else { with.kind() == seen.kind() };
                if !fits {
                    return refuse("wrong_type", format!("`{}` does not fit the column's type", shown(&name)));
                }
            }
            let about = &mut self.about[usize::from(field)];
            let place = index(self.rows.cells.len());
            match (about.stamp, datum) {
                // A name that comes twice: the last one counts, as everywhere.
                ((row, earlier), Some(datum)) if row == stamp => self.rows.cells[earlier as usize].datum = datum,
                ((row, earlier), None) if row == stamp => {
                    about.stamp = (0, 0);
                    self.rows.cells[earlier as usize].field = NOWHERE;
                }
                (_, Some(datum)) => {
                    about.stamp = (stamp, place);
                    self.rows.cells.push(Cell { field, datum });
                }
                (_, None) => {}
            }
        }
        if nth == 0 {
            return refuse("empty", "the object has no fields");
        }
        let hash = match self.rules.key {
            Key::Line => line_hash(text),
            Key::Field(_) => [0; 16],
        };
        let key = self.key(first, hash)?;
        if let Some(earlier) = self.keys.insert(key, number) {
            self.dead.push(earlier);
        }
        std::mem::swap(&mut self.previous, &mut self.current);
        for cell in self.rows.cells[first..].iter().filter(|cell| cell.field != NOWHERE) {
            let field = &mut self.rows.fields[usize::from(cell.field)];
            field.seen = field.seen.and(kinds(cell.datum));
        }
        let cells = (index(first), index(self.rows.cells.len()));
        self.rows.rows.push(RowAt { line: at.line, cells, hash });
        Ok(())
    }

    /// The number of a field, which may be new.
    fn field(&mut self, name: &str, nth: usize) -> Result<u16, Refused> {
        if let Some(&guess) = self.previous.get(nth)
            && self.rows.fields[usize::from(guess)].name == *name
        {
            return Ok(guess);
        }
        if let Some(&known) = self.by_name.get(name) {
            return Ok(known);
        }
        if name == LINE_KEY {
            return refuse("reserved_field", format!("`{LINE_KEY}` is a name of the program's own"));
        }
        if name.contains('\0') {
            return refuse("nul_character", "a field's name holds a NUL character, which PostgreSQL cannot store");
        }
        let frozen = match &self.rules.frozen {
            None => None,
            Some(table) => match table.column(name) {
                Some(at) => Some((table.columns[at].seen, self.rules.key == Key::Field(name.to_owned()))),
                None => return refuse("unknown_field", format!("the table has no column for `{}`", shown(name))),
            },
        };
        if !self.rules.has_room(name) {
            return refuse("too_many_fields", format!("`{}` would be one more than {MOST_COLUMNS}", shown(name)));
        }
        let number = u16::try_from(self.rows.fields.len()).unwrap_or(u16::MAX);
        self.rows.fields.push(Field { name: name.to_owned(), seen: Kinds::NONE });
        self.about.push(About { frozen, stamp: (0, 0) });
        self.by_name.insert(name.to_owned(), number);
        Ok(number)
    }

    fn datum(&mut self, text: &str, start: usize, value: Value<'_>) -> Result<Option<Datum>, Refused> {
        let span = |part: &str| {
            let at = part.as_ptr().addr() - text.as_ptr().addr();
            Datum::Text(Span { start: index(start + at), len: index(part.len()) })
        };
        Ok(Some(match value {
            Value::Null => return Ok(None),
            Value::Bool(value) => Datum::Bool(value),
            Value::Int(value) => Datum::Int(value),
            Value::Real(value) => Datum::Real(value),
            Value::Number(part) | Value::Plain(part) => span(part),
            Value::Nested(part) => {
                if depth(part.as_bytes()) > DEEPEST {
                    return refuse("too_deep", format!("nested deeper than {DEEPEST}"));
                }
                span(part)
            }
            Value::Escaped(quoted) => {
                let plain = unescaped(quoted)?;
                if plain.contains('\0') {
                    return refuse("nul_character", "a text holds a NUL character, which PostgreSQL cannot store");
                }
                let from = index(self.rows.unescaped.len());
                self.rows.unescaped.extend_from_slice(plain.as_bytes());
                Datum::Unescaped(Span { start: from, len: index(plain.len()) })
            }
        }))
    }

    fn key(&self, first: usize, hash: [u8; 16]) -> Result<KeyValue, Refused> {
        let Key::Field(name) = &self.rules.key else { return Ok(KeyValue::Line(hash)) };
        let field = self.by_name.get(name);
        let cell = self.rows.cells[first..].iter().find(|cell| Some(&cell.field) == field);
        let Some(cell) = cell else {
            return refuse("no_key", format!("the record has no `{}`, which tells records apart", shown(name)));
        };
        Ok(match cell.datum {
            Datum::Int(number) => KeyValue::Int(number),
            Datum::Bool(value) => KeyValue::Text(value.to_string().into_bytes()),
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
            Datum::Real(value) if value.fract() == 0.0 && value.abs() < 1e15 => KeyValue::Int(value as i64),
            Datum::Real(value) => KeyValue::Text(value.to_string().into_bytes()),
            datum => {
                let text = self.rows.text(datum);
                if text.len() > LONGEST_KEY {
                    return refuse("key_too_long", format!("the key is longer than {LONGEST_KEY} bytes"));
                }
                let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
                match number {
                    Some(number) if number.to_string().as_bytes() == text => KeyValue::Int(number),
                    _ => KeyValue::Text(text.to_vec()),
                }
            }
        })
    }

    /// Of equal keys the last stays.
    fn close(mut self) -> Rows {
        if !self.dead.is_empty() {
            self.rows.duplicates = self.dead.len() as u64;
            self.dead.sort_unstable();
            let (mut number, dead) = (0, &self.dead);
            self.rows.rows.retain(|_| {
                number += 1;
                dead.binary_search(&(number - 1)).is_err()
            });
        }
        self.rows
    }
}

/// A chunk is far shorter than 4 GiB.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn kinds(datum: Datum) -> Kinds {
    match datum {
        Datum::Bool(_) => Kinds::BOOL,
        Datum::Int(number) => Kinds::of_int(number),
        Datum::Real(_) => Kinds::REAL,
        Datum::Text(_) | Datum::Unescaped(_) => Kinds::TEXT,
    }
}

/// What tells lines apart that have no key.
fn line_hash(text: &str) -> [u8; 16] {
    let hash = blake3::hash(text.trim_matches([' ', '\t', '\r']).as_bytes());
    let mut first = [0; 16];
    first.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    first
}

/// A name in a message: its beginning.
fn shown(name: &str) -> String {
    if name.chars().count() > 60 { name.chars().take(60).chain(['…']).collect() } else { name.to_owned() }
}
