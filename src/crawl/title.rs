//! One title made whole: its materials, metadata and characters, from the landing or from its own requests, parsed.

use std::collections::HashSet;

use crate::checkpoint::RunState;
use crate::error::{Fault as _, Severity, chain};
use crate::extract::kodik::parse_material;
use crate::extract::shikimori::{parse_graph, parse_rest, parse_roles};
use crate::model::raw::{RawMetadata, RawTitle};
use crate::model::{Failure, SeriesId, SkipReason};
use crate::store::landing::{LandedMaterial, LandedMetadata, LandedOrigin};

use super::fetch::{Metadata, Prepared};
use super::{Crawl, CrawlError};

/// A title that is whole, or why it is not.
pub(super) enum Fetch {
    Whole(Box<RawTitle>),
    Skip(SkipReason),
    Failed(Failure),
}

impl Crawl<'_> {
    /// Everything the sources say about the title, parsed.
    pub(super) async fn raw_title(&self, run: &RunState, prepared: Prepared) -> Result<Fetch, CrawlError> {
        let id = prepared.id;
        let metadata = match prepared.metadata {
            Metadata::Failed { code, reason, retryable } => {
                return Ok(Fetch::Failed(failed("shikimori", &code, reason, retryable)));
            }
            Metadata::Absent(reason) if !self.options.load_hidden_titles => return Ok(Fetch::Skip(reason)),
            Metadata::Absent(_) => RawMetadata::MaterialDataOnly,
            Metadata::Row(row) => match self.parse_metadata(&row) {
                Ok(metadata) => metadata,
                Err(failure) => return Ok(Fetch::Failed(failure)),
            },
        };
        if let Some(reason) = prepared.unreadable {
            return Ok(Fetch::Failed(failed("kodik", "bad_material", reason, false)));
        }
        let rows = match prepared.materials {
            Some(rows) => rows,
            None => match self.search(id).await? {
                Ok(rows) => rows,
                Err(failure) => return Ok(Fetch::Failed(failure)),
            },
        };
        if rows.is_empty() {
            return Ok(Fetch::Skip(SkipReason::NoMaterials));
        }
        let mut materials = Vec::with_capacity(rows.len());
        for row in &rows {
            match parse_material(&row.raw, &self.drift) {
                Ok(material) => materials.push(material),
                // Without one of its materials the view is not complete, and links would be switched off for nothing.
                Err(error) => {
                    let reason = format!("material {}: {}", row.id, chain(&error));
                    return Ok(Fetch::Failed(failed("kodik", "bad_material", reason, false)));
                }
            }
        }
        // Shikimori hides the persons of a hidden title, too.
        let roles = match metadata {
            RawMetadata::MaterialDataOnly => None,
            _ => match self.roles(run, id).await? {
                Ok(roles) => roles,
                Err(failure) => return Ok(Fetch::Failed(failure)),
            },
        };
        Ok(Fetch::Whole(Box::new(RawTitle { id, materials, metadata, roles })))
    }

    fn parse_metadata(&self, row: &LandedMetadata) -> Result<RawMetadata, Failure> {
        let parsed = match row.origin {
            LandedOrigin::GraphQl => {
                parse_graph(&row.raw, &self.drift).map(|anime| RawMetadata::GraphQl(Box::new(anime)))
            }
            LandedOrigin::Rest => parse_rest(&row.raw, &self.drift).map(|anime| RawMetadata::Rest(Box::new(anime))),
            LandedOrigin::Absent(_) => return Ok(RawMetadata::MaterialDataOnly),
        };
        parsed.map_err(|error| failed("shikimori", "bad_metadata", chain(&error), false))
    }

    /// The title's materials by a search of its own; landed, so that `--from-landing` sees them, too.
    async fn search(&self, id: SeriesId) -> Result<Result<Vec<LandedMaterial>, Failure>, CrawlError> {
        let Some(sources) = &self.sources else { return Ok(Ok(self.landing.materials(id).await?)) };
        let found = match sources.kodik.search(id).await {
            Ok(found) => found,
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => {
                let retryable = error.severity() == Severity::Transient;
                return Ok(Err(failed(error.service(), &error.code(), chain(&error), retryable)));
            }
        };
        if let Some(reject) = found.rejected.first() {
            return Ok(Err(failed("kodik", "bad_material", reject.reason.clone(), false)));
        }
        let mut rows: Vec<_> = found.materials.into_iter().map(super::listing::landed_material).collect();
        if rows.is_empty() {
            // An empty answer is no reason to drop the raw payloads; the next full listing decides what is gone.
            return Ok(Ok(rows));
        }
        if found.maybe_truncated {
            // `/search` has no second page. What an earlier look landed fills the gap, or releases that only did not
            // fit into the answer would be switched off.
            let landed = self.landing.materials(id).await?;
            if landed.is_empty() {
                let reason =
                    format!("/search shows only {} of its materials; `--mode full` sees all of them", rows.len());
                return Ok(Err(failed("kodik", "partial_view", reason, false)));
            }
            let seen: HashSet<_> = rows.iter().map(|row| row.id.clone()).collect();
            rows.extend(landed.into_iter().filter(|row| !seen.contains(&row.id)));
        }
        // Bytes are shared, so the copy costs nothing.
        self.landing.put_search(id, rows.clone()).await?;
        Ok(Ok(rows))
    }

    /// The title's characters, when the settings ask for them.
    async fn roles(
        &self,
        run: &RunState,
        id: SeriesId,
    ) -> Result<Result<Option<Vec<crate::model::raw::shikimori::Role>>, Failure>, CrawlError> {
        if !self.options.fetch_characters {
            return Ok(Ok(None));
        }
        let run_id = run.id.to_string();
        let landed = self.landing.roles(id).await?;
        let raw = match (landed, &self.sources) {
            (Some((by, raw)), sources) if sources.is_none() || by == run_id => raw,
            (_, None) => return Ok(Ok(None)),
            (_, Some(sources)) => match sources.shikimori.roles(id).await {
                Ok(raw) => {
                    self.landing.put_roles(&run_id, id, raw.clone()).await?;
                    raw
                }
                Err(error) if error.is_fatal() => return Err(error.into()),
                Err(error) => {
                    let retryable = error.severity() == Severity::Transient;
                    return Ok(Err(failed(error.service(), &error.code(), chain(&error), retryable)));
                }
            },
        };
        Ok(parse_roles(&raw, &self.drift)
            .map(Some)
            .map_err(|error| failed("shikimori", "bad_roles", chain(&error), false)))
    }
}

pub(super) fn failed(stage: &str, code: &str, reason: String, retryable: bool) -> Failure {
    Failure { stage: stage.to_owned(), code: code.to_owned(), reason, retryable, parts: Vec::new() }
}
