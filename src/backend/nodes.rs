//! Nodes from reference ids alone, and files of nodes for a worker: what messages ask for. Both are done inside a
//! transaction of the caller, together with whatever has to stand or fall with them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use uuid::Uuid;

use crate::model::{
    Collision, ImportFormat, ImportId, ImportStatus, LONGEST_NODE_KEY, NodesOptions, ResultCounts, RowCounts,
};
use crate::store::imports::{
    self, Bulk, FailedRow, NewBatch, NewImport, Number, Patience, Process, Runner, StoredImport, Whole,
};
use crate::store::nodes::insert_missing;
use crate::store::sql::{Session, SqlError};

use super::imports::bulk_end;

/// What a message asks for, whatever it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of its import, should one be made: a UUID of version 7. That of the message's job, with which it is forgotten.
    pub id: String,
    /// The same key again is the same request again: nothing is done twice.
    pub key: Option<String>,
    /// Where it comes from, for people.
    pub source: String,
    /// What has taken it.
    pub processor: String,
    /// For people.
    pub notes: Option<String>,
}

/// Nodes from ids alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// Who asks.
    pub request: Request,
    /// Whose nodes.
    pub domain: String,
    /// Their group.
    pub group: String,
    /// Their reference ids.
    pub ids: Vec<String>,
    /// Those that are nodes are kept, to be told, if there are more of them than this; none = they are not.
    pub tells_above: Option<usize>,
}

/// Rows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOf {
    /// Who asks.
    pub request: Request,
    /// What it holds.
    pub format: ImportFormat,
    /// What the format has to know: JSON, of nodes [`NodesOptions`].
    pub options: String,
    /// Where it is.
    pub url: String,
    /// Rows of a piece.
    pub piece_rows: u64,
    /// How often it is tried; none = as the settings say.
    pub patience: Option<Patience>,
    /// How many ids of rows that are in are kept, to be told; 0 = none.
    pub tells: u32,
}

/// An import that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// It.
    pub import: ImportId,
    /// How far it is.
    pub status: ImportStatus,
    /// Why it is no better.
    pub reason: Option<String>,
    /// What its rows have come to.
    pub rows: RowCounts,
    /// An earlier request with the same key has made it.
    pub replayed: bool,
}

/// Makes the nodes of many requests in one transaction, each request an import of its own that has ended. Existing nodes
/// stay as they are. If the store refuses something, nothing of it stands: the caller tries each request by itself.
pub fn import_references(session: &Session<'_>, requests: &[References], now: i64) -> Result<Vec<Asked>, SqlError> {
    let mut asked: Vec<Option<Asked>> = Vec::with_capacity(requests.len());
    let mut seen = BTreeMap::new();
    for (index, request) in requests.iter().enumerate() {
        let key = request.request.key.as_deref();
        let known = key.map(|key| known(session, key)).transpose()?.flatten();
        if known.is_none()
            && let Some(key) = key
        {
            seen.entry(key).or_insert(index);
        }
        asked.push(known);
    }
    // The same key twice in one go: the second is answered as the first.
    let first = |index: usize| {
        let key = requests.get(index).and_then(|request| request.request.key.as_deref());
        key.and_then(|key| seen.get(key).copied()).unwrap_or(index)
    };
    let mut work = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        if asked[index].is_none() && first(index) == index {
            work.push((index, Split::of(request)));
        }
    }
    let mut keys: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for (index, split) in &work {
        let request = &requests[*index];
        let group = request.group.as_str();
        keys.entry(request.domain.as_str()).or_default().extend(split.good.iter().map(|id| (group, *id)));
    }
    let mut made: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for (domain, keys) in &keys {
        made.insert(*domain, insert_missing(session, domain, keys, now)?);
    }
    let mut wholes = Vec::with_capacity(work.len());
    for (index, split) in work {
        let request = &requests[index];
        let mut rows = split.counts();
        for id in &split.good {
            // Of two requests for the same new node the first has made it.
            let new = made.get_mut(request.domain.as_str()).is_some_and(|made| made.remove(&(&request.group, id)));
            if new { rows.inserted += 1 } else { rows.unchanged += 1 }
        }
        let (whole, answer) = ended(request, rows, split.failed)?;
        asked[index] = Some(answer);
        wholes.push(whole);
    }
    imports::insert_whole(session, &wholes, now)?;
    (0..requests.len())
        .map(|index| {
            let made_by = first(index);
            let found =
                asked[index].clone().or_else(|| asked[made_by].clone().map(|it| Asked { replayed: true, ..it }));
            found.ok_or_else(|| SqlError::Refused("a request without an answer".to_owned()))
        })
        .collect()
}

/// Makes an import of one file, which a worker takes up once the transaction is committed.
pub fn enqueue(session: &Session<'_>, file: &FileOf, now: i64) -> Result<Asked, SqlError> {
    if let Some(key) = &file.request.key {
        session.lock(&format!("import key {key}"))?;
        if let Some(known) = known(session, key)? {
            return Ok(known);
        }
    }
    let new = import(&file.request, file.format, file.options.clone());
    let import = parsed(&new.id)?;
    let number = imports::insert_import(session, &new, now)?;
    let data = json!({ "status": ImportStatus::Created, "reason": null, "results": null });
    imports::append(session, number, "import", &data.to_string(), now)?;
    imports::finalise(session, number, now)?;
    let ordinal = imports::take_numbers(session, number, 1, 0)?.batch;
    let bulk = Bulk { patience: file.patience, tells: file.tells, ..Bulk::new(Runner::Worker, file.piece_rows.max(1)) };
    let batch = batch(number, ordinal, Some(file.url.clone()), bulk);
    imports::insert_batch(session, &batch, now)?;
    let (status, rows) = (ImportStatus::Created, RowCounts::default());
    Ok(Asked { import, status, reason: None, rows, replayed: false })
}

/// The import that a request with this key has made.
fn known(session: &Session<'_>, key: &str) -> Result<Option<Asked>, SqlError> {
    let Some(StoredImport { number, import, status, reason, .. }) = imports::import_by_key(session, key)? else {
        return Ok(None);
    };
    let rows = imports::import_rows(session, number)?;
    Ok(Some(Asked { import: parsed(&import.id)?, status, reason, rows, replayed: true }))
}

fn parsed(id: &str) -> Result<ImportId, SqlError> {
    id.parse().map_err(|_| SqlError::Unreadable(format!("`{id}` is no import's id")))
}

/// The ids of a request, each once, and those that are none.
struct Split<'r> {
    good: BTreeSet<&'r str>,
    duplicates: u64,
    failed: Vec<FailedRow>,
}

impl<'r> Split<'r> {
    fn of(request: &'r References) -> Self {
        let (mut good, mut duplicates, mut failed, mut offset) = (BTreeSet::new(), 0, Vec::new(), 0);
        for (line, id) in (1..).zip(&request.ids) {
            let place = (line, offset);
            offset += id.len() as u64 + 1;
            let trimmed = id.trim();
            match fault(trimmed) {
                Some((code, message)) => failed.push(failed_id(place, id, code, &message)),
                None => duplicates += u64::from(!good.insert(trimmed)),
            }
        }
        Self { good, duplicates, failed }
    }

    fn counts(&self) -> RowCounts {
        RowCounts { duplicates: self.duplicates, failed: self.failed.len() as u64, ..RowCounts::default() }
    }
}

/// Why an id is none.
fn fault(id: &str) -> Option<(&'static str, String)> {
    if id.is_empty() {
        return Some(("reference_missing", "it has no reference id".to_owned()));
    }
    if id.contains('\0') {
        return Some(("nul_character", "a cell holds a NUL character".to_owned()));
    }
    if id.len() > LONGEST_NODE_KEY {
        let message = format!("reference id and group have at most {LONGEST_NODE_KEY} bytes");
        return Some(("key_too_long", message));
    }
    None
}

fn failed_id((line, offset): (u64, u64), id: &str, code: &str, message: &str) -> FailedRow {
    let shown = !id.contains('\0') && id.len() <= LONGEST_NODE_KEY && !id.trim().is_empty();
    FailedRow {
        line,
        offset,
        kind: "node".to_owned(),
        external_id: shown.then(|| id.trim().to_owned()),
        code: code.to_owned(),
        message: message.to_owned(),
        original: Some(bytes::Bytes::copy_from_slice(id.as_bytes())),
    }
}

/// An import that is at its end as soon as it is there.
fn ended(request: &References, rows: RowCounts, failed: Vec<FailedRow>) -> Result<(Whole, Asked), SqlError> {
    let (domain, group) = (request.domain.clone(), Some(request.group.clone()));
    let options = NodesOptions { domain, group, refs: true, known_groups: false };
    let options = serde_json::to_string(&options).map_err(|error| SqlError::Refused(error.to_string()))?;
    let import = import(&request.request, ImportFormat::Nodes, options);
    let empty = request.ids.is_empty().then_some("no reference ids were given");
    let (status, reason) = bulk_end(&rows, empty);
    let id = parsed(&import.id)?;
    let event = json!({ "status": status, "reason": reason, "results": rows.as_results(), "rows": rows }).to_string();
    let asked = Asked { import: id, status, reason: reason.clone(), rows, replayed: false };
    let good = |id: &&String| fault(id.trim()).is_none();
    let mut told: Vec<String> = request.ids.iter().filter(good).map(|id| id.trim().to_owned()).collect();
    if request.tells_above.is_none_or(|most| told.len() <= most) {
        told.clear();
    }
    Ok((Whole { import, batch: Uuid::now_v7().to_string(), status, reason, rows, failed, told, event }, asked))
}

fn import(request: &Request, format: ImportFormat, options: String) -> NewImport {
    NewImport {
        id: request.id.clone(),
        source: request.source.clone(),
        processor: request.processor.clone(),
        expected_count: None,
        notes: request.notes.clone(),
        collision: Collision::Upsert,
        process: Process::Now,
        idempotency_key: request.key.clone(),
        request_hash: None,
        retry_of: None,
        format,
        options: Some(options),
    }
}

fn batch(import: Number, ordinal: i64, storage_url: Option<String>, bulk: Bulk) -> NewBatch {
    NewBatch {
        id: Uuid::now_v7().to_string(),
        import,
        ordinal,
        storage_url,
        idempotency_key: None,
        content_hash: None,
        status: ImportStatus::Created,
        reason: None,
        received: false,
        records: 0,
        counts: ResultCounts::default(),
        position: (0, 0),
        lease: None,
        bulk: Some(bulk),
    }
}
