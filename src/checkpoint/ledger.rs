//! The ledger: append-only JSON lines, one for each finished title; the last line of a title counts.
//!
//! It grows with the catalogue so that the checkpoint need not. A torn last line is the trace of a crash and is cut
//! off; a bad line in the middle is damage and stops the run.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::atomic_file;
use super::entry::Entry;
use super::error::{StateError, json_reason};
use super::line::IndexLine;

/// No line is longer; what is, is damage.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// Superseded lines beyond this many more than titles are worth a rewrite.
const SLACK: u64 = 1000;

/// What is known of every title.
pub(super) type Entries = BTreeMap<u64, Entry>;

/// A ledger in memory.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) entries: Entries,
    /// Lines that count or once counted.
    pub(super) lines: u64,
    /// Where the last whole line ends.
    pub(super) good_len: u64,
    /// Bytes behind it.
    pub(super) torn: u64,
}

impl Loaded {
    /// Whether most of the file is superseded.
    pub(super) fn wants_compaction(&self) -> bool {
        let distinct = self.entries.len() as u64;
        self.lines.saturating_sub(distinct) > distinct + SLACK
    }

    /// The highest run number in it.
    pub(super) fn newest_run(&self) -> u32 {
        self.entries.values().map(Entry::run).max().unwrap_or_default()
    }
}

/// One line of the file.
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: u64,
    /// Without its newline; only its beginning when `too_long`.
    pub(super) bytes: &'a [u8],
    /// Longer than [`MAX_LINE`].
    pub(super) too_long: bool,
}

impl Line<'_> {
    /// The entry, or why there is none.
    pub(super) fn parse(&self) -> Result<(u64, Entry), String> {
        if self.too_long {
            return Err(format!("longer than {MAX_LINE} bytes"));
        }
        let line: IndexLine<'_> = serde_json::from_slice(self.bytes).map_err(|error| json_reason(&error))?;
        line.compact().map(|entry| (line.id, entry)).ok_or_else(|| format!("{} is no series id", line.id))
    }
}

/// Where a file ends.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tail {
    /// Where the last whole line ends.
    pub(super) good_len: u64,
    /// Bytes behind it.
    pub(super) torn: u64,
}

/// Shows every whole line that is not blank; bounded memory whatever the file holds. A missing file has no lines.
pub(super) fn scan(path: &Path, mut see: impl FnMut(Line<'_>) -> Result<(), StateError>) -> Result<Tail, StateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tail::default()),
        Err(error) => return Err(StateError::io("read", path, error)),
    };
    let fault = |error| StateError::io("read", path, error);
    let mut reader = BufReader::with_capacity(128 * 1024, file);
    let mut buffer = Vec::with_capacity(1024);
    let (mut good_len, mut number) = (0_u64, 0_u64);
    loop {
        buffer.clear();
        let mut read = reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut buffer).map_err(fault)? as u64;
        if read == 0 {
            return Ok(Tail { good_len, torn: 0 });
        }
        let mut whole = buffer.last() == Some(&b'\n');
        let too_long = !whole && buffer.len() > MAX_LINE;
        if too_long {
            let (rest, ended) = skip_line(&mut reader).map_err(fault)?;
            read += rest;
            whole = ended;
        }
        if !whole {
            return Ok(Tail { good_len, torn: read });
        }
        good_len += read;
        number += 1;
        let bytes = buffer.trim_ascii_end();
        if !bytes.is_empty() {
            see(Line { number, bytes, too_long })?;
        }
    }
}

/// Passes over the rest of a line; says how many bytes, and whether a newline ended it.
fn skip_line(reader: &mut BufReader<File>) -> io::Result<(u64, bool)> {
    let mut skipped = 0_u64;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok((skipped, false));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        skipped += used as u64;
        if end.is_some() {
            return Ok((skipped, true));
        }
    }
}

/// Reads the whole ledger; the first bad line is an error.
pub(super) fn load(path: &Path) -> Result<Loaded, StateError> {
    let mut loaded = Loaded::default();
    let tail = scan(path, |line| {
        let (id, entry) = line.parse().map_err(|reason| StateError::Corrupt {
            path: path.to_path_buf(),
            place: format!("line {}", line.number),
            reason,
        })?;
        loaded.lines += 1;
        loaded.entries.insert(id, entry);
        Ok(())
    })?;
    loaded.good_len = tail.good_len;
    loaded.torn = tail.torn;
    Ok(loaded)
}

/// Shows the line that counts of every title, in the order of the file; bad lines and a torn tail are passed over.
pub(super) fn scan_latest(
    path: &Path,
    mut see: impl FnMut(u64, &[u8]) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut last: HashMap<u64, u64> = HashMap::new();
    scan(path, |line| {
        if let Ok((id, _)) = line.parse() {
            last.insert(id, line.number);
        }
        Ok(())
    })?;
    scan(path, |line| match line.parse() {
        Ok((id, _)) if last.get(&id) == Some(&line.number) => see(id, line.bytes),
        _ => Ok(()),
    })
    .map(drop)
}

/// Rewrites the file with the last line of each title, bytes as they are (names and unknown fields stay).
pub(super) fn compact(path: &Path) -> Result<(), StateError> {
    fail::fail_point!("checkpoint.compact.before");
    atomic_file::replace_with(path, |out| {
        scan_latest(path, |_, line| write_line(out, line).map_err(|error| StateError::io("write", path, error)))
    })?;
    fail::fail_point!("checkpoint.compact.after");
    Ok(())
}

/// One line and its newline.
pub(super) fn write_line(out: &mut dyn io::Write, line: &[u8]) -> io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}

/// The end of the file that is written to.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    file: File,
    len: u64,
    /// After a failed fsync nobody knows what is on disk; only opening it again tells.
    broken: bool,
}

impl Appender {
    /// Opens (or makes) the file and cuts off what lies behind `good_len`.
    pub(super) fn open(path: &Path, good_len: u64) -> Result<Self, StateError> {
        let fault = |error| StateError::io("open", path, error);
        let is_new = !path.exists();
        let file = open_private(path).map_err(fault)?;
        let len = file.metadata().map_err(fault)?.len();
        if len > good_len {
            fail::fail_point!("checkpoint.repair.before_truncate");
            file.set_len(good_len)
                .and_then(|()| file.sync_all())
                .map_err(|error| StateError::io("repair", path, error))?;
            fail::fail_point!("checkpoint.repair.after_truncate");
        }
        if is_new && let Some(dir) = path.parent() {
            atomic_file::sync_folder(dir)?;
        }
        Ok(Self { path: path.to_path_buf(), file, len: good_len, broken: false })
    }

    /// Adds whole lines; durable when it returns. On failure nothing of them stays.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), StateError> {
        if self.broken {
            return Err(StateError::WriterStopped { path: self.path.clone() });
        }
        let written = self.file.write_all(lines).and_then(|()| {
            fail::fail_point!("checkpoint.ledger.sync", |_| Err(io::Error::from_raw_os_error(28)));
            self.file.sync_data()
        });
        match written {
            Ok(()) => {
                self.len += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line must not stand before the next whole one.
                let cut = self.file.set_len(self.len).and_then(|()| self.file.sync_data());
                self.broken = cut.is_err();
                Err(StateError::io("append to", &self.path, error))
            }
        }
    }
}

/// Appending, readable by the owner only.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Appender, MAX_LINE, compact, load};
    use crate::checkpoint::StateError;

    fn line(id: u64, run: u32) -> String {
        format!(
            "{{\"id\":{id},\"title\":\"T{id}\",\"run\":{run},\"status\":\"done\",\"at\":\"2026-01-09T12:00:00Z\",\"x\":{run}}}\n"
        )
    }

    #[test]
    fn the_last_line_counts_and_compaction_keeps_its_bytes() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("ledger.jsonl");
        let mut file = Appender::open(&path, 0)?;
        for run in 1..=1300 {
            file.append(line(7, run).as_bytes())?;
            if run < 3 {
                file.append(line(8, run).as_bytes())?;
            }
        }
        let loaded = load(&path)?;
        assert_eq!((loaded.lines, loaded.entries.len(), loaded.newest_run()), (1302, 2, 1300));
        assert!(loaded.wants_compaction());
        compact(&path)?;
        assert_eq!(std::fs::read_to_string(&path)?, line(8, 2) + &line(7, 1300));
        assert!(!load(&path)?.wants_compaction());
        Ok(())
    }

    #[test]
    fn damage_is_named_and_a_torn_tail_is_not_damage() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("ledger.jsonl");
        assert_eq!(load(&path)?.lines, 0, "a missing file has no lines");
        let whole = line(1, 1) + "\r\n\n" + &line(2, 1);
        let mut file = std::fs::File::create(&path)?;
        file.write_all(whole.as_bytes())?;
        file.write_all(&vec![0; MAX_LINE * 3])?;
        let loaded = load(&path)?;
        assert_eq!((loaded.lines, loaded.good_len), (2, whole.len() as u64));
        assert_eq!(loaded.torn, MAX_LINE as u64 * 3);
        file.write_all(b"\n")?;
        match load(&path) {
            Err(StateError::Corrupt { place, .. }) => assert_eq!(place, "line 5"),
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}
