//! Loading without loading: says what would be written, by the same plans as the real loaders, and writes nothing.

use std::path::Path;
use std::sync::Arc;

use super::contract::{self, Diff};
use super::{LoadError, batch, embedded};
use crate::backend::{BackendError, Catalogue, FieldChange, importer, plan};
use crate::model::{Change, Failure, Outcome, SeriesId, TitleRecord, Writes};
use crate::store::sent::{Sent, SentTitle};
use crate::store::{Location, Store};

/// What would become of a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// New.
    Create,
    /// Different.
    Update,
    /// Nothing to do.
    Unchanged,
    /// The backend would refuse it.
    Refused,
}

/// One title of a dry run, to be shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Preview {
    /// Id.
    pub series: SeriesId,
    /// Title.
    pub title: String,
    /// What would happen.
    pub action: Action,
    /// Fields of the series that would change; empty for a new one.
    pub fields: Vec<FieldChange>,
    /// Episodes that would be new or back (with a contract backend: sent).
    pub episodes_added: usize,
    /// Episodes that would be switched off.
    pub episodes_removed: usize,
    /// Videos that would be new or back (with a contract backend: sent).
    pub videos_added: usize,
    /// Videos that would be switched off.
    pub videos_removed: usize,
    /// Why the backend would refuse it.
    pub refused: Vec<String>,
}

/// Who shows the previews.
pub type Show = Box<dyn Fn(Preview) + Send + Sync>;

/// A loader that writes nothing.
pub struct DryRun {
    against: Against,
    show: Show,
}

enum Against {
    /// `None`: there is no catalogue yet, everything is new.
    Embedded { catalogue: Option<Catalogue> },
    /// `None`: nothing was ever sent.
    Contract { sent: Option<Sent>, source_name: String, target: String },
}

impl std::fmt::Debug for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryRun").field("target", &self.target()).finish_non_exhaustive()
    }
}

impl DryRun {
    /// Against the catalogue of this place, which is opened without changing a byte.
    pub async fn embedded(location: impl Into<Location>, source_name: &str, show: Show) -> Result<Self, LoadError> {
        let store = Store::open_read_only(&location.into()).await.map_err(BackendError::from)?;
        let catalogue = store.map(|store| Catalogue::new(Arc::new(store), source_name));
        Ok(Self { against: Against::Embedded { catalogue }, show })
    }

    /// Against what the backend at `base_url` has acknowledged, as recorded in `sent`. The backend is not asked.
    pub fn contract(base_url: &url::Url, source_name: &str, sent: &Path, show: Show) -> Result<Self, LoadError> {
        let sent = Sent::open_read_only(sent)?;
        let target = contract::target(base_url, source_name);
        Ok(Self { against: Against::Contract { sent, source_name: source_name.to_owned(), target }, show })
    }

    /// Against what the ledger knows of the backend at `base_url`, which takes whole titles. It is not asked.
    pub fn batch(base_url: &url::Url, source_name: &str, show: Show) -> Self {
        let target = batch::target(base_url, source_name);
        Self { against: Against::Contract { sent: None, source_name: source_name.to_owned(), target }, show }
    }

    /// The target that a real run would load into.
    pub fn target(&self) -> String {
        match &self.against {
            Against::Embedded { catalogue } => {
                embedded::target(catalogue.as_ref().map_or("new", |catalogue| catalogue.store().id()))
            }
            Against::Contract { target, .. } => target.clone(),
        }
    }

    /// Shows what loading would do and returns the outcome it would have.
    pub async fn load(&self, record: &TitleRecord, known: Option<&str>) -> Result<Outcome, LoadError> {
        let (mut preview, writes) = match &self.against {
            Against::Embedded { catalogue } => planned(catalogue.as_ref(), record).await?,
            Against::Contract { sent, source_name, target } => {
                compared(sent.as_ref(), source_name, target, record, known).await?
            }
        };
        preview.refused = contract::validate(record);
        if !preview.refused.is_empty() {
            preview.action = Action::Refused;
        }
        let outcome = match preview.action {
            Action::Create => Outcome::Loaded { change: Change::Created, writes },
            Action::Update => Outcome::Loaded { change: Change::Updated, writes },
            Action::Unchanged => Outcome::Unchanged,
            Action::Refused => {
                Outcome::Failed(Failure { stage: "dry_run".to_owned(), ..contract::invalid(preview.refused.clone()) })
            }
        };
        (self.show)(preview);
        Ok(outcome)
    }
}

async fn planned(catalogue: Option<&Catalogue>, record: &TitleRecord) -> Result<(Preview, Writes), LoadError> {
    let plan = match catalogue {
        Some(catalogue) => catalogue.plan(record).await?,
        None => plan::plan(None, &importer::Title::of_record(record), &record.fingerprint(), false),
    };
    let writes = if plan.change.is_some() { plan.writes() } else { Writes::default() };
    let preview = Preview {
        action: match plan.change {
            Some(Change::Created) => Action::Create,
            Some(Change::Updated) => Action::Update,
            None => Action::Unchanged,
        },
        episodes_added: plan.episodes_added,
        episodes_removed: plan.changes.episodes_off.len(),
        videos_added: plan.videos_added,
        videos_removed: plan.changes.videos_off.len(),
        fields: plan.fields,
        ..empty(record)
    };
    Ok((preview, writes))
}

async fn compared(
    sent: Option<&Sent>,
    source_name: &str,
    target: &str,
    record: &TitleRecord,
    known: Option<&str>,
) -> Result<(Preview, Writes), LoadError> {
    if known == Some(record.fingerprint().as_str()) {
        return Ok((empty(record), Writes::default()));
    }
    let before = match sent {
        Some(sent) => sent.get(target, record.series.id).await?,
        None => None,
    };
    let existed = before.is_some();
    let before: SentTitle = before.unwrap_or_default();
    let diff: Diff<'_> = contract::diff(source_name, record, &before);
    let writes = Writes {
        series: u64::from(diff.anime.is_some()),
        episodes: diff.episodes.len() as u64,
        videos: diff.videos.len() as u64,
        ..Writes::default()
    };
    let action = match (diff.is_empty(), existed) {
        (true, _) => Action::Unchanged,
        (false, true) => Action::Update,
        (false, false) => Action::Create,
    };
    let preview = Preview {
        action,
        episodes_added: diff.episodes.len(),
        videos_added: diff.videos.len(),
        fields: diff.fields.into_iter().map(|(name, old, new)| FieldChange { name, old, new }).collect(),
        ..empty(record)
    };
    Ok((preview, writes))
}

fn empty(record: &TitleRecord) -> Preview {
    Preview {
        series: record.series.id,
        title: record.series.title.clone(),
        action: Action::Unchanged,
        fields: Vec::new(),
        episodes_added: 0,
        episodes_removed: 0,
        videos_added: 0,
        videos_removed: 0,
        refused: Vec::new(),
    }
}
