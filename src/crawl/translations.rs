//! Names of translations: for materials that carry only an id, and to tell a mistyped priority from a real one.

use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::RunState;
use crate::extract::kodik::parse_translations;
use crate::model::TranslationId;
use crate::observe::events;
use crate::transform::TranslationSelector;

use super::{Crawl, CrawlError, View};

/// The name of the list in the landing.
const REFERENCE: &str = "translations";

impl Crawl<'_> {
    /// Asks for the list once at the beginning of a full run; every other run uses what is landed.
    pub(super) async fn learn_translations(&mut self, run: &RunState) -> Result<(), CrawlError> {
        let landed = self.landing.reference(REFERENCE).await?;
        let fresh_run = Self::view(run) == View::Landed && run.last_page == 0;
        let list = match (&self.sources, landed) {
            (Some(sources), landed) if fresh_run || landed.is_none() && Self::view(run) == View::Landed => {
                match sources.kodik.translations().await {
                    Ok(answer) => {
                        self.landing.put_reference(REFERENCE, answer.raw).await?;
                        answer.list
                    }
                    Err(error) if error.is_fatal() => return Err(error.into()),
                    Err(error) => {
                        // Names are a comfort; the materials nearly always carry their own.
                        events::translations_unknown(&error.to_string());
                        landed.map(|raw| parse_translations(&raw)).unwrap_or_default()
                    }
                }
            }
            (_, Some(raw)) => parse_translations(&raw),
            (_, None) => return Ok(()),
        };
        let names: BTreeMap<_, _> =
            list.into_iter().map(|translation| (TranslationId(translation.id), translation.title)).collect();
        let known: HashSet<String> = names.values().map(|name| name.to_lowercase()).collect();
        for selector in self.rules.translation_priorities.iter().chain(&self.rules.excluded_translations) {
            match selector {
                TranslationSelector::Name(name) if !known.contains(name) => events::no_such_translation(name),
                TranslationSelector::Id(id) if !names.contains_key(id) => events::no_such_translation(&id.to_string()),
                _ => {}
            }
        }
        self.rules.translation_names = names;
        Ok(())
    }
}
