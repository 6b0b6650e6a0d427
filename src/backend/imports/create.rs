//! Making an import, and saying that it has all its batches.

use super::settle::{say_import, settle_import};
use super::{Imports, ImportsError, Refused, now};
use crate::model::{Collision, ImportFormat, ImportId, ImportStatus};
use crate::store::imports::{self, NewImport, Process, StoredImport};
use crate::store::sqlite::CrashPoints;

pub(super) const CREATE: CrashPoints =
    CrashPoints { before: "imports.create.before_commit", after: "imports.create.after_commit" };

const FINALISE: CrashPoints =
    CrashPoints { before: "imports.finalise.before_commit", after: "imports.finalise.after_commit" };

/// An import as somebody wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Where the records come from.
    pub source: String,
    /// What has made them.
    pub processor: String,
    /// How many there will be.
    pub expected_count: Option<u64>,
    /// For people.
    pub notes: Option<String>,
    /// Towards what is there already.
    pub collision: Collision,
    /// How far.
    pub process: Process,
    /// What its batches hold.
    pub format: ImportFormat,
    /// What the format has to know: JSON.
    pub options: Option<String>,
}

/// An import, and whether this request has made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The import.
    pub import: StoredImport,
    /// An earlier request with the same key has.
    pub replayed: bool,
}

impl Imports {
    /// Makes an import. The same key and request again give the same import.
    pub async fn create(&self, create: Create, key: Option<String>) -> Result<Created, ImportsError> {
        let request_hash = key.as_ref().map(|_| {
            let Create { source, processor, expected_count, notes, collision, process, format, options } = &create;
            let (process, format) = (process.as_str(), format.as_str());
            let text = format!(
                "{source:?} {processor:?} {expected_count:?} {notes:?} {collision} {process} {format} {options:?}"
            );
            blake3::hash(text.as_bytes()).to_hex().to_string()
        });
        let new = NewImport {
            id: ImportId::new().to_string(),
            source: create.source,
            processor: create.processor,
            expected_count: create.expected_count,
            notes: create.notes,
            collision: create.collision,
            process: create.process,
            idempotency_key: key,
            request_hash,
            retry_of: None,
            format: create.format,
            options: create.options,
        };
        let now = now();
        let made = self.store.write(CREATE, move |session| {
            if let Some(key) = &new.idempotency_key {
                session.lock(&format!("import key {key}"))?;
                if let Some(import) = imports::import_by_key(session, key)? {
                    let same = import.import.request_hash == new.request_hash;
                    return Ok(if same { Ok(Created { import, replayed: true }) } else { Err(Refused::KeyReused) });
                }
            }
            let number = imports::insert_import(session, &new, now)?;
            say_import(session, number, ImportStatus::Created, None, None, now)?;
            Ok(Ok(Created { import: imports::import_by_number(session, number)?, replayed: false }))
        });
        Ok(made.await??)
    }

    /// No more batches: as soon as nothing is open, the import ends. Asked again, it answers the same.
    pub async fn finalise(&self, id: ImportId) -> Result<StoredImport, ImportsError> {
        let now = now();
        let done = self.store.write(FINALISE, move |session| {
            let Some(number) = imports::number_of(session, &id.to_string())? else {
                return Ok(Err(Refused::NoSuchImport));
            };
            imports::lock_import(session, number)?;
            let import = imports::import_by_number(session, number)?;
            if import.status == ImportStatus::Cancelled {
                return Ok(Err(Refused::Ended(import.status.as_str())));
            }
            if imports::finalise(session, number, now)? {
                settle_import(session, number, now)?;
            }
            imports::import_by_number(session, number).map(Ok)
        });
        let import = done.await??;
        self.tell();
        Ok(import)
    }
}
