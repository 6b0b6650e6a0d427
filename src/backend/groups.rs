//! Groups of nodes: which there are, and new ones. Imports make the groups that they name; messages may name only those
//! that are there, unless they are trusted to make them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::BackendError;
use crate::model::LONGEST_NODE_KEY;
use crate::store::Store;
use crate::store::nodes::{self, Group};
use crate::store::sqlite::CrashPoints;

const POINTS: CrashPoints = CrashPoints { before: "groups.before_commit", after: "groups.after_commit" };

/// Groups that are read at once.
const PAGE: u32 = 1000;

/// The groups of one store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Groups {
    store: Arc<Store>,
}

/// Why a text is no name of a group or domain, if it is none.
pub fn name_fault(text: &str) -> Option<String> {
    let fault = if text.trim() != text || text.is_empty() {
        "is empty or begins or ends with a space"
    } else if text.contains('\0') {
        "holds a NUL character"
    } else if text.len() > LONGEST_NODE_KEY {
        return Some(format!("is longer than {LONGEST_NODE_KEY} bytes"));
    } else {
        return None;
    };
    Some(fault.to_owned())
}

impl Groups {
    /// Those of this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Makes groups of a domain, which is made, too; those that were not there before.
    pub async fn add(&self, domain: String, names: BTreeSet<String>) -> Result<BTreeSet<String>, BackendError> {
        let now = jiff::Timestamp::now().as_millisecond();
        let made = self.store.write(POINTS, move |session| {
            let mut new = BTreeSet::new();
            for name in &names {
                if !nodes::has_group(session, &domain, name)? {
                    new.insert(name.clone());
                }
            }
            nodes::group_ids(session, &domain, &names.iter().map(String::as_str).collect(), now)?;
            Ok(new)
        });
        Ok(made.await?)
    }

    /// Gives all of them, of one domain or of all, to `see`, page by page in the order of their domains and names.
    pub async fn each(&self, domain: Option<String>, mut see: impl FnMut(Vec<Group>)) -> Result<(), BackendError> {
        let mut after = (String::new(), String::new());
        loop {
            let (of, behind) = (domain.clone(), after.clone());
            let page =
                self.store.read(move |session| nodes::groups(session, of.as_deref(), (&behind.0, &behind.1), PAGE));
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = (last.domain.clone(), last.name.clone());
            see(page);
        }
    }
}
