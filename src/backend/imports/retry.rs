//! Trying again what failed: a new import of the failed records' own bytes, so that no status ever goes back.

use uuid::Uuid;

use super::bulk::add_batch;
use super::create::{CREATE, Created};
use super::settle::{say_import, settle_batch};
use super::{Imports, ImportsError, Refused, now};
use crate::model::{ImportFormat, ImportId, ImportStatus, ResultCounts};
use crate::store::imports::{self, BatchPage, NewBatch, NewImport, Number, StoredBatch, StoredImport};
use crate::store::sql::{Session, SqlError};

impl Imports {
    /// Makes an import of everything that failed in this one, the places that could not be fetched included. It is
    /// finalised from the beginning.
    pub async fn retry(&self, id: ImportId, key: Option<String>) -> Result<Created, ImportsError> {
        let now = now();
        let request_hash = key.as_ref().map(|_| blake3::hash(format!("retry {id}").as_bytes()).to_hex().to_string());
        let made = self.store.write(CREATE, move |session| {
            if let Some(key) = &key {
                session.lock(&format!("import key {key}"))?;
                if let Some(import) = imports::import_by_key(session, key)? {
                    let same = import.import.request_hash == request_hash;
                    return Ok(if same { Ok(Created { import, replayed: true }) } else { Err(Refused::KeyReused) });
                }
            }
            let Some(old) = imports::import_by_id(session, &id.to_string())? else {
                return Ok(Err(Refused::NoSuchImport));
            };
            if !old.status.is_final() {
                return Ok(Err(Refused::NotEnded));
            }
            if old.import.format != ImportFormat::Records {
                return retry_bulk(session, old, key, request_hash, now);
            }
            let failed = imports::failed_with_original(session, old.number)?;
            let places = imports::retried_urls(session, old.number)?;
            if failed == 0 && places.is_empty() {
                return Ok(Err(Refused::NothingFailed));
            }
            let new = NewImport {
                id: ImportId::new().to_string(),
                expected_count: places.is_empty().then_some(failed),
                idempotency_key: key,
                request_hash,
                retry_of: Some(old.import.id.clone()),
                ..old.import
            };
            let number = imports::insert_import(session, &new, now)?;
            say_import(session, number, ImportStatus::Created, None, None, now)?;
            imports::finalise(session, number, now)?;
            if failed > 0 {
                let batch = batch(session, number, None, (0, 0), failed, now)?;
                imports::copy_failed(session, old.number, batch, now)?;
                settle_batch(session, batch, now)?;
            }
            for (url, position) in places {
                batch(session, number, Some(url), position, 0, now)?;
            }
            Ok(Ok(Created { import: imports::import_by_number(session, number)?, replayed: false }))
        });
        let created = made.await??;
        self.wake();
        Ok(created)
    }
}

/// Files of a bulk import of which rows are not in are worked on again, by a worker: rows that are in stay unchanged.
fn retry_bulk(
    session: &Session<'_>,
    old: StoredImport,
    key: Option<String>,
    request_hash: Option<String>,
    now: i64,
) -> Result<Result<Created, Refused>, SqlError> {
    if imports::is_of_command(session, old.number)? {
        return Ok(Err(Refused::OfCommand));
    }
    let page = BatchPage { status: None, after: 0, limit: u32::MAX };
    let all = imports::batches(session, old.number, page)?;
    let failed =
        |batch: &&StoredBatch| matches!(batch.batch.status, ImportStatus::Failed | ImportStatus::PartiallyFailed);
    let failed: Vec<&StoredBatch> = all.iter().filter(failed).collect();
    if failed.is_empty() {
        return Ok(Err(Refused::NothingFailed));
    }
    let new = NewImport {
        id: ImportId::new().to_string(),
        expected_count: None,
        idempotency_key: key,
        request_hash,
        retry_of: Some(old.import.id.clone()),
        ..old.import
    };
    let number = imports::insert_import(session, &new, now)?;
    say_import(session, number, ImportStatus::Created, None, None, now)?;
    imports::finalise(session, number, now)?;
    for old in failed {
        let Some(bulk) = old.batch.bulk else { continue };
        let again = add_batch(session, number, old.batch.storage_url.clone(), None, bulk, now)?;
        if let Some(input) = imports::input(session, old.number)? {
            imports::keep_input(session, again.number, &input)?;
        }
    }
    Ok(Ok(Created { import: imports::import_by_number(session, number)?, replayed: false }))
}

fn batch(
    session: &Session<'_>,
    import: Number,
    storage_url: Option<String>,
    position: (u64, u64),
    records: u64,
    now: i64,
) -> Result<Number, SqlError> {
    let ordinal = imports::take_numbers(session, import, 1, 0)?.batch;
    let new = NewBatch {
        id: Uuid::now_v7().to_string(),
        import,
        ordinal,
        received: storage_url.is_none(),
        storage_url,
        idempotency_key: None,
        content_hash: None,
        status: ImportStatus::Created,
        reason: None,
        records,
        counts: ResultCounts::default(),
        position,
        lease: None,
        bulk: None,
    };
    imports::insert_batch(session, &new, now)
}
