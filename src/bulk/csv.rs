//! CSV in pieces into rows: RFC 4180 as the world writes it (CRLF, LF or CR, quoted line ends, a byte order mark, blank
//! lines between rows), with one difference to most readers: a quote that is never closed costs its own line, not the
//! rest of the file.

use bytes::{Buf as _, Bytes, BytesMut};
use csv_core::{ReadRecordResult, Reader};

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Its fields, unquoted.
    Fields {
        /// The line it begins in.
        line: u64,
        /// Where its first byte stands.
        offset: u64,
        /// All fields, one after the other.
        text: Vec<u8>,
        /// Where each ends.
        ends: Vec<usize>,
        /// The row as it is in the file.
        raw: Bytes,
    },
    /// A line that is no row.
    Broken {
        /// The line.
        line: u64,
        /// Where its first byte stands.
        offset: u64,
        /// What is wrong with it.
        code: &'static str,
        /// The line as it is in the file, cut at the cap.
        raw: Bytes,
    },
}

/// Cuts pushed bytes into rows.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the bytes before the ones at hand")]
pub struct Rows {
    reader: Reader,
    /// From the row's start.
    input: BytesMut,
    /// Of `input`, what the reader has seen.
    seen: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    fields: usize,
    cap: usize,
    line: u64,
    /// Bytes before `input`.
    behind: u64,
    /// The last byte before `input` was a CR, so that an LF at its start is no line of its own.
    after_cr: bool,
    started: bool,
    ended: bool,
    /// A line above the cap is being thrown away.
    skipping: bool,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Rows {
    /// Rows of at most `cap` bytes.
    pub fn new(cap: usize) -> Self {
        Self {
            reader: fresh(),
            input: BytesMut::new(),
            seen: 0,
            text: vec![0; 1024],
            ends: vec![0; 32],
            written: 0,
            fields: 0,
            cap,
            line: 1,
            behind: 0,
            after_cr: false,
            started: false,
            ended: false,
            skipping: false,
        }
    }

    /// More bytes.
    pub fn push(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
    }

    /// Bytes and lines behind the last row that was taken.
    pub fn position(&self) -> (u64, u64) {
        (self.behind, self.line - 1)
    }

    /// No more bytes will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next row; `None` when more has to be pushed, or after the last.
    pub fn take(&mut self) -> Option<Row> {
        if !self.started {
            if self.input.len() < BOM.len() && !self.ended {
                return None;
            }
            self.started = true;
            if self.input.starts_with(BOM) {
                self.input.advance(BOM.len());
                self.behind += BOM.len() as u64;
            }
        }
        if self.skipping && !self.skip_line() {
            return None;
        }
        loop {
            if self.seen == 0 {
                self.skip_blank_lines();
            }
            let unseen = &self.input[self.seen..];
            if unseen.is_empty() && !self.ended {
                return None;
            }
            // An empty input tells the reader that this is the end.
            let (result, read, written, fields) =
                self.reader.read_record(unseen, &mut self.text[self.written..], &mut self.ends[self.fields..]);
            self.seen += read;
            self.written += written;
            self.fields += fields;
            match result {
                ReadRecordResult::InputEmpty => {
                    if let Some(broken) = self.too_long() {
                        return Some(broken);
                    }
                    if !self.ended {
                        return None;
                    }
                }
                ReadRecordResult::OutputFull => {
                    if let Some(broken) = self.too_long() {
                        return Some(broken);
                    }
                    self.text.resize(self.text.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    let at_end = self.ended && self.seen == self.input.len();
                    if at_end && ends_in_quotes(&self.input) {
                        return Some(self.broken("csv_quote_not_closed"));
                    }
                    if self.seen > self.cap {
                        return Some(self.broken("row_too_long"));
                    }
                    return Some(self.row());
                }
                ReadRecordResult::End => return None,
            }
        }
    }

    fn row(&mut self) -> Row {
        let offset = self.behind;
        let raw = self.cut(self.seen).freeze();
        let line = self.line;
        self.line += self.count(&raw);
        let text = self.text[..self.written].to_vec();
        let row = Row::Fields { line, offset, text, ends: self.ends[..self.fields].to_vec(), raw };
        self.forget();
        row
    }

    fn cut(&mut self, length: usize) -> BytesMut {
        self.behind += length as u64;
        self.input.split_to(length)
    }

    /// Blank lines before a row are no rows, and no part of one.
    fn skip_blank_lines(&mut self) {
        let blank = self.input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let blank = self.cut(blank);
        self.line += self.count(&blank);
    }

    /// Line ends in bytes that follow what was counted before.
    fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut count = 0;
        for byte in bytes {
            count += u64::from(*byte == b'\r' || (*byte == b'\n' && !self.after_cr));
            self.after_cr = *byte == b'\r';
        }
        count
    }

    fn forget(&mut self) {
        (self.seen, self.written, self.fields) = (0, 0, 0);
    }

    fn too_long(&mut self) -> Option<Row> {
        (self.seen > self.cap).then(|| self.broken("row_too_long"))
    }

    /// Gives up the first line of the row at hand and begins anew after it.
    fn broken(&mut self, code: &'static str) -> Row {
        let (line, offset) = (self.line, self.behind);
        let end = self.input.iter().position(|byte| *byte == b'\n');
        let mut raw = self.cut(end.map_or(self.input.len(), |end| end + 1)).freeze();
        self.line += self.count(&raw);
        self.skipping = end.is_none();
        raw.truncate(self.cap);
        self.reader = fresh();
        self.forget();
        Row::Broken { line, offset, code, raw }
    }

    /// Throws the rest of a line away; has its end come?
    fn skip_line(&mut self) -> bool {
        let end = self.input.iter().position(|byte| *byte == b'\n');
        let rest = self.cut(end.map_or(self.input.len(), |end| end + 1));
        self.line += self.count(&rest);
        self.skipping = end.is_none();
        !self.skipping
    }
}

/// A reader that will not look for a byte order mark: where one is in the way depends on no pieces.
fn fresh() -> Reader {
    let mut reader = Reader::new();
    // A blank line is no row.
    let _ = reader.read_record(b"\n", &mut [0], &mut [0]);
    reader
}

/// Does a row end within a quoted field?
fn ends_in_quotes(raw: &[u8]) -> bool {
    let (mut start, mut quoted) = (true, false);
    for byte in raw {
        match byte {
            b'"' if start => (start, quoted) = (false, true),
            // A doubled quote opens again what it closed.
            b'"' if quoted => (start, quoted) = (true, false),
            b',' | b'\n' | b'\r' if !quoted => start = true,
            _ => start = false,
        }
    }
    quoted
}
