//! The Kodik side: `/list`, `/search` and the reference lists, errors included. No I/O: a request in, an answer out.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::catalogue::{Catalogue, Sort};
use super::data::Title;
use super::dictionaries;
use super::filter::Filter;
use super::material::{self, Shape};
use super::params::Params;
use super::reply::Reply;

const BAD_TOKEN: &str = "Отсутствует или неверный токен";
const NO_CRITERIA: &str = "Не указан хотя бы один параметр для поиска";
const BAD_TYPE: &str = "Неправильный тип";

/// Values of `types` that Kodik knows; any other rejects the request.
const TYPES: [&str; 12] = [
    "foreign-movie",
    "soviet-cartoon",
    "foreign-cartoon",
    "russian-cartoon",
    "anime",
    "russian-movie",
    "cartoon-serial",
    "documentary-serial",
    "russian-serial",
    "foreign-serial",
    "anime-serial",
    "multi-part-film",
];

/// Parameters of which `/search` needs at least one.
const CRITERIA: [&str; 11] = [
    "title",
    "title_orig",
    "id",
    "player_link",
    "kinopoisk_id",
    "imdb_id",
    "mdl_id",
    "worldart_animation_id",
    "worldart_cinema_id",
    "worldart_link",
    "shikimori_id",
];

/// How a fault profile bends the paging links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Paging {
    /// Honest links.
    #[default]
    Honest,
    /// Links that lead to another host.
    Foreign,
    /// The same cursor for ever.
    Repeating,
}

/// The Kodik service.
#[derive(Debug, Default)]
pub(crate) struct Kodik {
    /// Only this token is accepted; otherwise any but `bad`.
    pub(crate) token: Option<String>,
    /// Totals of filtered listings, so that a page does not count the whole catalogue again.
    totals: Mutex<HashMap<String, usize>>,
}

/// One request as far as Kodik looks at it.
pub(crate) struct KodikRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) host: &'a str,
    pub(crate) params: &'a Params,
    pub(crate) paging: Paging,
    pub(crate) refuse_token: bool,
}

impl Kodik {
    /// A service with this token.
    pub(crate) fn new(token: Option<String>) -> Self {
        Self { token, totals: Mutex::default() }
    }

    /// Answers one request.
    pub(crate) fn answer(&self, catalogue: &Catalogue, request: &KodikRequest<'_>) -> Reply {
        if !matches!(request.method, "GET" | "POST") {
            return Reply::html(500, "<html><body>Internal Server Error</body></html>");
        }
        let path = request.path.trim_end_matches('/');
        if request.refuse_token || !self.accepts(request.params.get("token")) {
            return error(BAD_TOKEN);
        }
        if request.params.list("types").iter().any(|kind| !TYPES.contains(kind)) {
            return error(BAD_TYPE);
        }
        match path {
            "/list" => self.list(catalogue, request),
            "/search" => search(catalogue, request.params),
            _ => dictionaries::answer(catalogue, path, request.params)
                .unwrap_or_else(|| Reply::html(404, "<html><body>Not Found</body></html>")),
        }
    }

    /// Drops what was counted: the catalogue has changed.
    pub(crate) fn forget_totals(&self) {
        self.totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    fn accepts(&self, token: Option<&str>) -> bool {
        match (&self.token, token) {
            (_, None) => false,
            (Some(expected), Some(token)) => expected == token,
            (None, Some(token)) => token != "bad",
        }
    }

    fn list(&self, catalogue: &Catalogue, request: &KodikRequest<'_>) -> Reply {
        let params = request.params;
        let Some(sort) = Sort::parse(params.get("sort").unwrap_or("updated_at")) else {
            return error("Неправильный тип сортировки");
        };
        let descending = match params.get("order").unwrap_or("desc") {
            "desc" => true,
            "asc" => false,
            _ => return error("Неправильный порядок сортировки"),
        };
        let limit = limit(params);
        let filter = Filter::of(params);
        let listing = catalogue.listing(sort, descending);
        let total = self.total(&filter, params, || {
            if filter.is_empty() {
                return listing.len();
            }
            (0..listing.len())
                .filter(|position| {
                    let (title, ordinal) = listing.at(*position);
                    filter.admits(&title, &title.kodik[ordinal])
                })
                .count()
        });
        let cursor = |name: &str| params.get(name).map(decode_cursor);
        let backwards = params.get("prev").is_some();
        let place = match cursor("next").or_else(|| cursor("prev")) {
            None => Some((0, false)),
            Some(None) => None,
            Some(Some((value, id))) => listing.seek(value, &id),
        };
        let Some((place, exact)) = place else { return error("Неправильный параметр next") };
        let mut chosen = Vec::with_capacity(limit);
        let mut more = false;
        let mut take = |position: usize| {
            let (title, ordinal) = listing.at(position);
            if filter.admits(&title, &title.kodik[ordinal]) {
                more = chosen.len() == limit;
                if !more {
                    chosen.push((title, ordinal));
                }
            }
            !more
        };
        if backwards {
            let _ = (0..place).rev().all(&mut take);
            chosen.reverse();
            more = true;
        } else {
            let _ = (place + usize::from(exact)..listing.len()).all(&mut take);
        }
        let link = |name: &str, entry: Option<&(std::borrow::Cow<'_, Title>, usize)>| {
            entry.map(|(title, ordinal)| {
                let material = &title.kodik[*ordinal];
                page_link(request, name, sort.value(title, material), &material.id)
            })
        };
        let next = if more { link("next", chosen.last()) } else { None };
        let previous = if place > 0 { link("prev", chosen.first()) } else { None };
        let next = match request.paging {
            // The second page leads to itself.
            Paging::Repeating => match cursor("next").flatten() {
                Some((value, id)) => Some(page_link(request, "next", value, &id)),
                None => next,
            },
            _ => next,
        };
        let mut body = Vec::with_capacity(chosen.len() * 2048 + 256);
        let _ = write!(
            body,
            "{{\"time\":\"{}ms\",\"total\":{total},\"prev_page\":{},\"next_page\":{},\"results\":[",
            1 + chosen.len() / 20,
            Value::from(previous),
            Value::from(next)
        );
        let shape = Shape::of(params);
        for (index, (title, ordinal)) in chosen.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            material::write(&mut body, title, &title.kodik[*ordinal], shape);
        }
        body.extend_from_slice(b"]}");
        Reply::json_bytes(200, body)
    }

    fn total(&self, filter: &Filter<'_>, params: &Params, count: impl FnOnce() -> usize) -> usize {
        if filter.is_empty() {
            return count();
        }
        let key = params.encode_without(&[
            "token",
            "next",
            "prev",
            "limit",
            "sort",
            "order",
            "with_seasons",
            "with_episodes",
            "with_episodes_data",
            "with_material_data",
        ]);
        let mut totals = self.totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(total) = totals.get(&key) {
            return *total;
        }
        let total = count();
        if totals.len() >= 64 {
            totals.clear();
        }
        totals.insert(key, total);
        total
    }
}

/// Application errors are HTTP 500 with a JSON body.
fn error(message: &str) -> Reply {
    Reply::json_status(500, &json!({ "error": message }))
}

fn limit(params: &Params) -> usize {
    params.get("limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(50).clamp(1, 100)
}

/// Absolute, on the host the client used, with every parameter it sent, the token included.
fn page_link(request: &KodikRequest<'_>, name: &str, value: i64, id: &str) -> String {
    let cursor = STANDARD.encode(format!("[{value},\"{id}\"]"));
    // Kodik leaves the padding as it is; the other two signs would change their meaning in a query.
    let cursor = cursor.replace('+', "%2B").replace('/', "%2F");
    let host = if request.paging == Paging::Foreign { "kodik.foreign.invalid" } else { request.host };
    let rest = request.params.encode_without(&["next", "prev"]);
    format!("http://{host}/list?{rest}&{name}={cursor}")
}

fn decode_cursor(cursor: &str) -> Option<(i64, String)> {
    let bytes = STANDARD.decode(cursor).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn search(catalogue: &Catalogue, params: &Params) -> Reply {
    if CRITERIA.iter().all(|name| params.get(name).is_none()) {
        return error(NO_CRITERIA);
    }
    let filter = Filter::of(params);
    let (limit, shape) = (limit(params), Shape::of(params));
    let mut total = 0;
    let mut results = Vec::new();
    let mut visit = |title: &Title| {
        for material in title.kodik.iter().filter(|material| filter.admits(title, material)) {
            if total < limit {
                if total > 0 {
                    results.push(b',');
                }
                material::write(&mut results, title, material, shape);
            }
            total += 1;
        }
        true
    };
    let ids = params.list("shikimori_id");
    if ids.is_empty() {
        catalogue.for_each_title(visit);
    } else {
        for title in ids.iter().filter_map(|id| id.parse().ok()).filter_map(|id| catalogue.title(id)) {
            visit(&title);
        }
    }
    let mut body = Vec::with_capacity(results.len() + 64);
    let _ = write!(body, "{{\"time\":\"2ms\",\"total\":{total},\"results\":[");
    body.append(&mut results);
    body.extend_from_slice(b"]}");
    Reply::json_bytes(200, body)
}
