//! One series record, or one release record, in its transaction: read, decide, write.

use super::payload::{ReleasePayload, SeriesPayload, holds_nul};
use super::record::{RecordRefused, typed};
use super::title::{self, Parts, Title};
use super::{Context, Payload, Processed, Record, Trace, arrivals, convert, pictures};
use crate::backend::plan::{self, Plan};
use crate::backend::services::relations::{self, Difference};
use crate::model::{Change, Collision, TitleRecord, Writes};
use crate::store::catalogue::relations::{End, PendingKind, Stated};
use crate::store::catalogue::{self, ImageOwner, SeriesPut, StoredTitle, TitleKey};
use crate::store::sql::{Session, SqlError};

/// A payload, read as far as its fingerprint needs.
enum Read<'r> {
    /// In one piece, from this program's own crawler.
    Whole(&'r TitleRecord),
    /// From anybody.
    Sent(Box<SeriesPayload>, Option<Parts>),
}

impl Read<'_> {
    fn title(&self, source_id: &str) -> Result<Title, RecordRefused> {
        match self {
            Self::Whole(record) => Ok(Title::of_record(record)),
            Self::Sent(payload, parts) => Title::of_payload(source_id, payload, parts.clone()),
        }
    }

    /// The same for a title that was sent as for one that was handed over.
    fn fingerprint(&self, source_id: &str) -> String {
        match self {
            Self::Whole(record) => record.fingerprint(),
            Self::Sent(payload, parts) => {
                match parts.as_ref().and_then(|parts| convert::title_record(source_id, payload, parts)) {
                    Some(record) => record.fingerprint(),
                    // Serialising into memory cannot fail: there is no map with keys that are no text.
                    None => hash(&serde_json::to_string(payload).unwrap_or_default()),
                }
            }
        }
    }
}

/// 128 bits over a text, as 32 hex digits.
pub(super) fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

fn read(record: &Record) -> Result<Read<'_>, RecordRefused> {
    let raw = match &record.payload {
        Payload::Title(title) => return Ok(Read::Whole(title)),
        Payload::Json(raw) => raw.get(),
    };
    let payload: SeriesPayload = sent(raw)?;
    let path = |index: usize| format!("payload.releases[{index}].");
    let parts =
        payload.releases.as_ref().map(|releases| title::parts(&record.external_id, releases, &payload.episodes, &path));
    Ok(Read::Sent(Box::new(payload), parts.transpose()?))
}

/// A payload as its type.
pub(super) fn sent<'a, T: serde::Deserialize<'a>>(raw: &'a str) -> Result<T, RecordRefused> {
    if holds_nul(raw) {
        return Err(RecordRefused::field("payload", "holds U+0000"));
    }
    typed(raw.as_bytes(), "payload")
}

/// A refusal before anything was read from the store.
pub(super) fn refuse(record: &Record, refused: &RecordRefused) -> (Processed, Trace) {
    (Processed::refused(refused), Trace { hash: hash(&record.payload_json()), settled: false })
}

/// The policy `fail` met something that it may not change.
pub(super) fn exists(record: &Record) -> Processed {
    let message = format!("the catalogue already has another {} {}", record.kind, record.external_id);
    Processed::Refused { code: "exists", message }
}

pub(super) fn key_of(record: &Record, source_id: &str) -> TitleKey {
    TitleKey { source_name: record.source_name.clone(), source_id: source_id.to_owned() }
}

/// Imports a series.
pub(super) fn series(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
) -> Result<(Processed, Trace), SqlError> {
    let read = match read(record) {
        Ok(read) => read,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    let key = key_of(record, &record.external_id);
    let mut trace = Trace { hash: read.fingerprint(&record.external_id), settled: false };
    if let Read::Whole(_) = read {
        catalogue::lock_title(session, &key)?;
        if context.collision != Collision::Replace
            && let Some(open) = catalogue::same_fingerprint(session, &key, &trace.hash)?
        {
            trace.settled = !open;
            return Ok((Processed::Unchanged, trace));
        }
    }
    let title = match read.title(&record.external_id) {
        Ok(title) => title,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    if let Read::Sent(..) = read {
        lock_all(session, &key, title.relations.iter().flatten())?;
        if context.collision != Collision::Replace
            && let Some(open) = catalogue::same_fingerprint(session, &key, &trace.hash)?
        {
            trace.settled = !open;
            return Ok((Processed::Unchanged, trace));
        }
        if let Some(refused) = foreign(session, &key, title.parts.as_ref())? {
            return Ok((refused, trace));
        }
    }
    let stored = catalogue::title(session, &key)?;
    Ok((decide(session, record, &key, stored.as_ref(), &title, &trace.hash, context)?, trace))
}

/// Every title that this transaction decides about, in one order for all.
pub(super) fn lock_all<'s>(
    session: &Session<'_>,
    own: &TitleKey,
    stated: impl Iterator<Item = &'s Stated>,
) -> Result<(), SqlError> {
    let others = stated.map(|stated| stated.other.as_str());
    let mut ids: Vec<&str> = others.chain([own.source_id.as_str()]).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        catalogue::lock_title(session, &TitleKey { source_name: own.source_name.clone(), source_id: id.to_owned() })?;
    }
    Ok(())
}

/// Ids of episodes are unique in a source: one that another series has cannot be taken.
fn foreign(session: &Session<'_>, key: &TitleKey, parts: Option<&Parts>) -> Result<Option<Processed>, SqlError> {
    let Some(parts) = parts.filter(|parts| !parts.episodes.is_empty()) else { return Ok(None) };
    let ids: Vec<&str> = parts.episodes.iter().map(|episode| episode.id.0.as_str()).collect();
    Ok(catalogue::foreign_episode(session, key, &ids)?.map(|id| Processed::Refused {
        code: "foreign_episode",
        message: format!("the episode {id} belongs to another series"),
    }))
}

fn decide(
    session: &Session<'_>,
    record: &Record,
    key: &TitleKey,
    stored: Option<&StoredTitle>,
    title: &Title,
    fingerprint: &str,
    context: &Context,
) -> Result<Processed, SqlError> {
    if stored.is_some() && context.collision == Collision::Skip {
        return Ok(Processed::Unchanged);
    }
    let plan = plan::plan(stored, title, fingerprint, context.collision == Collision::Replace);
    let row = stored.map(|stored| stored.series.row);
    let difference = match &title.relations {
        None => Difference::default(),
        Some(after) => {
            let end = End { source_name: &key.source_name, source_id: &key.source_id, row: row.unwrap_or(-1) };
            relations::difference(&catalogue::relations::stated(session, PendingKind::Series, end)?, after)
        }
    };
    let images = match (&title.images, row) {
        (Some(images), Some(row)) if catalogue::images(session, ImageOwner::Series(row))? == *images => None,
        (images, _) => images.as_ref(),
    };
    let change = match plan.change {
        None if difference.is_empty() && images.is_none() => return Ok(Processed::Unchanged),
        None => Change::Updated,
        Some(change) => change,
    };
    if stored.is_some() && context.collision == Collision::Fail {
        return Ok(exists(record));
    }
    let mut writes = plan.writes();
    writes.relations += difference.len();
    let Some(row) = catalogue::apply(session, key, &plan.changes, context.now)? else {
        return Ok(Processed::Unchanged);
    };
    let end = End { source_name: &key.source_name, source_id: &key.source_id, row };
    state(session, PendingKind::Series, end, &difference, context.now)?;
    let owner = ImageOwner::Series(row);
    match (images, &plan.changes.series) {
        (Some(images), _) => catalogue::put_images(session, owner, images)?,
        (None, SeriesPut::Insert { series, .. }) => pictures::shown(session, owner, series.poster.as_deref(), true)?,
        (None, SeriesPut::Update { series, .. }) if title.images.is_none() => {
            pictures::shown(session, owner, series.poster.as_deref(), false)?;
        }
        _ => {}
    }
    if stored.is_none() {
        arrivals::series(session, key, row, context.now)?;
    }
    arrivals::cast(session, key, &plan.changes.characters, context.now)?;
    Ok(Processed::Written { change, writes })
}

/// Takes back and states.
pub(super) fn state(
    session: &Session<'_>,
    kind: PendingKind,
    end: End<'_>,
    difference: &Difference,
    now: i64,
) -> Result<(), SqlError> {
    for gone in &difference.gone {
        catalogue::relations::take_back(session, kind, end, gone)?;
    }
    for new in &difference.new {
        catalogue::relations::state(session, kind, end, new, now)?;
    }
    Ok(())
}

/// Imports a release of a series, or lets it wait for that.
pub(super) fn release(
    session: &Session<'_>,
    record: &Record,
    context: &Context,
) -> Result<(Processed, Trace), SqlError> {
    let (series, parts) = match read_release(record) {
        Ok(read) => read,
        Err(refused) => return Ok(refuse(record, &refused)),
    };
    let trace = Trace { hash: hash(&record.payload_json()), settled: false };
    let key = key_of(record, &series);
    catalogue::lock_title(session, &key)?;
    // It may have waited for another series before.
    catalogue::relations::forget(session, PendingKind::Release, &record.source_name, &record.external_id)?;
    let Some(stored) = catalogue::title(session, &key)? else {
        let stated = Stated { other: series, detail: String::new() };
        let (source, id) = (&record.source_name, &record.external_id);
        catalogue::relations::wait(session, PendingKind::Release, source, id, &stated, context.now)?;
        let on = format!("series {}/{}", key.source_name, key.source_id);
        return Ok((Processed::Waiting { on }, trace));
    };
    if let Some(refused) = foreign(session, &key, Some(&parts))? {
        return Ok((refused, trace));
    }
    let known = parts
        .releases
        .iter()
        .any(|release| stored.releases.iter().any(|before| before.translation_id == release.translation.id.0));
    if known && context.collision == Collision::Skip {
        return Ok((Processed::Unchanged, trace));
    }
    let plan: Plan = plan::release(&stored, &parts, context.collision == Collision::Replace);
    let Some(change) = plan.change else { return Ok((Processed::Unchanged, trace)) };
    if known && context.collision == Collision::Fail {
        return Ok((exists(record), trace));
    }
    let writes: Writes = plan.writes();
    catalogue::apply(session, &key, &plan.changes, context.now)?;
    Ok((Processed::Written { change, writes }, trace))
}

fn read_release(record: &Record) -> Result<(String, Parts), RecordRefused> {
    let json = record.payload_json();
    let mut payload: ReleasePayload = sent(&json)?;
    let series = payload.series.take().ok_or_else(|| RecordRefused::field("payload.series", "is missing"))?;
    payload.material_id.get_or_insert_with(|| super::IdText(record.external_id.clone()));
    let parts = title::parts(&series.0, std::slice::from_ref(&payload), &[], &|_| "payload.".to_owned())?;
    Ok((series.0, parts))
}
