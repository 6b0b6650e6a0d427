//! What all pages have in common: head, navigation, the form token; and how a template becomes an answer.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use super::assets;
use super::session::Visit;
use crate::server::answer::Refusal;

/// Where a page is in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Imports,
    Jobs,
    Staging,
    Catalogue,
    Sources,
    #[cfg(feature = "kafka")]
    DeadLetters,
    /// Not in it.
    Elsewhere,
}

/// The navigation: place, address, words.
const NAVIGATION: &[(Place, &str, &str)] = &[
    (Place::Overview, "/", "Overview"),
    (Place::Imports, "/imports", "Imports"),
    (Place::Jobs, "/jobs", "Jobs"),
    (Place::Staging, "/staging", "Staging"),
    (Place::Catalogue, "/catalogue", "Catalogue"),
    (Place::Sources, "/sources", "Sources"),
    #[cfg(feature = "kafka")]
    (Place::DeadLetters, "/dead-letters", "Dead letters"),
];

/// Around every page.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) here: Place,
    /// Of the session; `None` = nobody is signed in, so there is no navigation.
    pub(super) form_token: Option<String>,
    pub(super) version: &'static str,
}

impl Frame {
    /// Of a page for somebody who is signed in.
    pub(super) fn new(visit: &Visit, here: Place, title: impl Into<String>) -> Self {
        let form_token = Some(visit.form_token.clone());
        Self { title: title.into(), here, form_token, version: assets::version() }
    }

    /// Of a page for everybody.
    pub(super) fn outside(title: impl Into<String>) -> Self {
        Self { title: title.into(), here: Place::Elsewhere, form_token: None, version: assets::version() }
    }

    /// Address, words, and whether it is here.
    pub(super) fn navigation(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let here = self.here;
        NAVIGATION.iter().map(move |(place, address, words)| (*address, *words, *place == here))
    }
}

/// A page.
pub(super) fn html(page: &impl Template) -> Response {
    html_with(StatusCode::OK, page)
}

/// A page with another status.
pub(super) fn html_with(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => Refusal::internal(error.to_string()).into_response(),
    }
}

/// A query string, escaped.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
