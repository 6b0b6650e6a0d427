//! The envelope of every Kodik answer, and the light look at each of its items.

use bytes::Bytes;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{application_error, refusal};
use super::{Kodik, NAME, ROOT, RawMaterial, Rejected};
use crate::extract::ExtractError;
use crate::extract::drift::{DriftKind, Root};
use crate::extract::parse::json_reason;
use crate::extract::text::{is_object, printable};
use crate::http::{Request, Response};
use crate::model::{MaterialId, SeriesId};

/// Longer is not an id but an attack on whoever stores it.
const MAX_ID: usize = 128;

/// `{"time","total","prev_page","next_page","results"}`; every part may be missing or odd.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, default, rename = "time")]
    _time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    total: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "prev_page")]
    _prev_page: Option<&'a RawValue>,
    #[serde(borrow, default)]
    next_page: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "error")]
    _error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) results: Option<Vec<&'a RawValue>>,
}

impl Envelope<'_> {
    pub(super) fn total(&self) -> Option<u64> {
        const PLAUSIBLE: u64 = 1_000_000_000;
        serde_json::from_str(self.total?.get()).ok().filter(|total| *total <= PLAUSIBLE)
    }

    /// `None` on the last page; a text even if it makes no sense.
    pub(super) fn next_page(&self) -> Option<String> {
        let raw = self.next_page?.get();
        let text = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
        (!text.trim().is_empty()).then_some(text)
    }
}

/// What is read of a material to place it.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    shikimori_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    updated_at: Option<&'a RawValue>,
}

impl Kodik {
    /// Sends a request and returns the body of an answer that is neither refused nor in another format.
    pub(super) async fn ask(&self, request: Request, with_cursor: bool) -> Result<Bytes, ExtractError> {
        let endpoint = request.endpoint;
        let Response { status, body, .. } = self.service.send(request).await?;
        if let Some(message) = application_error(&body) {
            // A service that repeats the token in its complaint must not bring it into the log.
            let message = message.replace(self.token.expose_secret(), "…");
            return Err(refusal(endpoint, status, &message, with_cursor));
        }
        if !status.is_success() {
            return Err(if is_object(&body) {
                refusal(endpoint, status, "no reason given", with_cursor)
            } else {
                ExtractError::not_json(NAME, endpoint, status, &body)
            });
        }
        if !is_object(&body) {
            return Err(ExtractError::not_json(NAME, endpoint, status, &body));
        }
        if std::str::from_utf8(&body).is_err() {
            // One broken text must not cost the page; its place is taken by U+FFFD.
            self.drift.add(
                root(endpoint),
                DriftKind::WrongType,
                format!("{}.(broken text)", root(endpoint).name),
                1,
                endpoint,
            );
            return Ok(Bytes::from(String::from_utf8_lossy(&body).into_owned()));
        }
        Ok(body)
    }

    /// Reads the envelope and counts fields in it that nobody knows.
    pub(super) fn envelope<'a>(&self, endpoint: &'static str, body: &'a Bytes) -> Result<Envelope<'a>, ExtractError> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let root = root(endpoint);
        let mut unknown = Vec::new();
        let envelope: Envelope<'a> = serde_ignored::deserialize(&mut deserializer, |path| {
            if unknown.len() < 100 {
                unknown.push(format!("{}.{}", root.name, printable(&path.to_string(), 64)));
            }
        })
        .and_then(|envelope| deserializer.end().map(|()| envelope))
        .map_err(|error| unexpected(endpoint, json_reason(&error)))?;
        for path in unknown {
            self.drift.add(root, DriftKind::Unknown, path, 1, endpoint);
        }
        if envelope.results.is_none() {
            return Err(unexpected(endpoint, "no `results`".to_owned()));
        }
        Ok(envelope)
    }

    /// Places the items of an answer: materials on one side, what is none on the other.
    pub(super) fn place(&self, body: &Bytes, results: &[&RawValue]) -> (Vec<RawMaterial>, Vec<Rejected>) {
        let mut materials = Vec::with_capacity(results.len());
        let mut rejected = Vec::new();
        for item in results {
            let raw = body.slice_ref(item.get().as_bytes());
            match self.head(&raw) {
                Ok(material) => materials.push(material),
                Err(item) => rejected.push(item),
            }
        }
        (materials, rejected)
    }

    fn head(&self, raw: &Bytes) -> Result<RawMaterial, Rejected> {
        let reject = |reason: String, id, series| Rejected { reason, id, series, raw: raw.clone() };
        if !is_object(raw) {
            return Err(reject("not a JSON object".to_owned(), None, None));
        }
        let head: Head<'_> = match serde_json::from_slice(raw) {
            Ok(head) => head,
            Err(error) => return Err(reject(json_reason(&error), None, None)),
        };
        let named = head.id.and_then(scalar);
        let series = self.series(&head, named.as_deref().unwrap_or("without id"));
        let id = match named {
            Some(id) if id.len() <= MAX_ID => id,
            Some(id) => return Err(reject("the id is too long".to_owned(), Some(printable(&id, MAX_ID)), series)),
            None => return Err(reject("no id".to_owned(), None, series)),
        };
        let updated_at = head.updated_at.and_then(scalar).filter(|text| text.len() <= MAX_ID);
        Ok(RawMaterial { id: MaterialId(id), series, updated_at, raw: raw.clone() })
    }

    fn series(&self, head: &Head<'_>, id: &str) -> Option<SeriesId> {
        head.shikimori_id.and_then(|value| {
            let text = scalar(value);
            let series = text.as_deref().and_then(|text| text.parse::<SeriesId>().ok());
            // Blank is a way to say none; anything else that is no id is worth a line in the report.
            if series.is_none() && (text.is_some() || !is_blank(value)) {
                let id = printable(id, MAX_ID);
                self.drift.add(ROOT, DriftKind::WrongType, "material.shikimori_id".to_owned(), 1, &id);
            }
            series
        })
    }
}

fn root(endpoint: &'static str) -> Root {
    Root { source: NAME, name: endpoint.trim_start_matches('/') }
}

/// A text or a whole number, trimmed; anything else, and blank, is `None`.
fn scalar(value: &RawValue) -> Option<String> {
    let raw = value.get();
    if raw.starts_with('"') {
        let text: String = serde_json::from_str(raw).ok()?;
        let text = text.trim();
        return (!text.is_empty()).then(|| text.to_owned());
    }
    raw.bytes().all(|byte| byte.is_ascii_digit()).then(|| raw.to_owned())
}

fn is_blank(value: &RawValue) -> bool {
    serde_json::from_str::<String>(value.get()).is_ok_and(|text| text.trim().is_empty())
}

pub(super) fn unexpected(endpoint: &'static str, reason: String) -> ExtractError {
    ExtractError::Unexpected { service: NAME, endpoint, reason }
}
