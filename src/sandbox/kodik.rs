//! The Kodik side: `/list`, `/search` and the reference lists, errors included. No I/O: a request in, an answer out.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::catalogue::{Catalogue, Sort};
use super::data::{Material, Title};
use super::material::{self, Shape};
use super::params::Params;
use super::reference::REFERENCE;
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
        if !ENDPOINTS.contains(&path) {
            return Reply::html(404, "<html><body>Not Found</body></html>");
        }
        if request.refuse_token || !self.accepts(request.params.get("token")) {
            return error(BAD_TOKEN);
        }
        if request.params.list("types").iter().any(|kind| !TYPES.contains(kind)) {
            return error(BAD_TYPE);
        }
        match path {
            "/list" => self.list(catalogue, request),
            "/search" => search(catalogue, request.params),
            "/translations" => translations_v1(),
            "/qualities" => Reply::json(&Value::Array(
                counts(catalogue, request.params, quality).into_keys().map(|title| json!({ "title": title })).collect(),
            )),
            "/translations/v2" => translations_v2(catalogue, request.params),
            "/genres" => titled_counts(catalogue, request.params, genres),
            "/countries" => titled_counts(catalogue, request.params, |_, _| vec!["Япония".to_owned()]),
            "/qualities/v2" => titled_counts(catalogue, request.params, quality),
            _ => years(catalogue, request.params),
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
            Paging::Repeating => link("next", chosen.first()),
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

const ENDPOINTS: [&str; 9] = [
    "/list",
    "/search",
    "/translations",
    "/translations/v2",
    "/genres",
    "/countries",
    "/qualities",
    "/qualities/v2",
    "/years",
];

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

/// The filters that `/list` and `/search` share.
struct Filter<'a>(Vec<(&'a str, Vec<&'a str>, &'a Params)>);

impl<'a> Filter<'a> {
    fn of(params: &'a Params) -> Self {
        const NAMES: [&str; 24] = [
            "types",
            "year",
            "translation_id",
            "block_translations",
            "translation_type",
            "has_field",
            "has_field_and",
            "camrip",
            "anime_kind",
            "anime_status",
            "not_blocked_in",
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
            "season",
            "episode",
        ];
        let parts = NAMES.iter().filter(|name| params.get(name).is_some()).map(|name| {
            let whole = matches!(*name, "title" | "title_orig" | "player_link" | "worldart_link");
            let values = if whole { params.get(name).into_iter().collect() } else { params.list(name) };
            (*name, values, params)
        });
        // Asking for both sorts of anime admits everything there is.
        Self(
            parts
                .filter(|(name, values, _)| {
                    !(*name == "types" && values.contains(&"anime") && values.contains(&"anime-serial"))
                })
                .collect(),
        )
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn admits(&self, title: &Title, material: &Material) -> bool {
        self.0.iter().all(|(name, values, params)| admits(title, material, name, values, params))
    }
}

fn admits(title: &Title, material: &Material, name: &str, values: &[&str], params: &Params) -> bool {
    let any = |text: &str| values.contains(&text);
    let has = |field: &&str| {
        !material.lacks(field)
            && match *field {
                "shikimori_id" => true,
                "kinopoisk_id" => title.kinopoisk.is_some(),
                "imdb_id" => title.imdb.is_some(),
                "worldart_link" => title.worldart.is_some(),
                _ => material.raw.contains_key(*field),
            }
    };
    let voice = material.voice.to_string();
    match name {
        "types" => any(material.kind()),
        "year" => title.year().is_some_and(|year| in_ranges(year, values)),
        "translation_id" => any(&voice),
        "block_translations" => !any(&voice),
        "translation_type" => REFERENCE.translation(material.voice).is_some_and(|voice| any(&voice.kind)),
        "has_field" => values.iter().any(has),
        "has_field_and" => values.iter().all(has),
        "camrip" => any(if material.camrip { "true" } else { "false" }),
        "anime_kind" => title.kind.as_deref().is_some_and(any),
        "anime_status" => any(&title.status),
        "not_blocked_in" => !material.blocked_countries.iter().any(|country| any(country)),
        "id" => any(&material.id),
        "shikimori_id" => !material.lacks("shikimori_id") && any(&title.id.to_string()),
        "kinopoisk_id" => title.kinopoisk.as_deref().is_some_and(any),
        "imdb_id" => title.imdb.as_deref().is_some_and(any),
        "worldart_animation_id" => title.worldart.is_some_and(|number| any(&number.to_string())),
        "worldart_link" => title.worldart.is_some_and(|number| values[0].ends_with(&format!("id={number}"))),
        "player_link" => {
            let number = material.id.split_once('-').map_or("", |(_, number)| number);
            values[0].contains(&format!("/{number}/"))
        }
        "title" | "title_orig" => names_match(title, values[0], params.flag("full_match")),
        "season" => material.seasons.iter().any(|season| any(&season.key)),
        "episode" => values
            .iter()
            .filter_map(|value| value.parse().ok())
            .any(|number| material.seasons.iter().any(|season| season.has(number))),
        // The sandbox knows no dramas and no films of other sorts.
        _ => false,
    }
}

fn in_ranges(year: u32, values: &[&str]) -> bool {
    values.iter().any(|value| {
        let (from, to) = value.split_once('-').unwrap_or((value, value));
        from.parse().is_ok_and(|from: u32| from <= year) && to.parse().is_ok_and(|to: u32| year <= to)
    })
}

fn names_match(title: &Title, wanted: &str, whole: bool) -> bool {
    let wanted = wanted.to_lowercase();
    let names = std::iter::once(&title.name).chain(&title.russian).chain(&title.english).chain(&title.synonyms);
    names.map(|name| name.to_lowercase()).any(|name| if whole { name == wanted } else { name.contains(&wanted) })
}

fn counts(
    catalogue: &Catalogue,
    params: &Params,
    keys: impl Fn(&Title, &Material) -> Vec<String>,
) -> BTreeMap<String, usize> {
    let filter = Filter::of(params);
    let mut counts = BTreeMap::new();
    catalogue.for_each_title(|title| {
        for material in title.kodik.iter().filter(|material| filter.admits(title, material)) {
            for key in keys(title, material) {
                *counts.entry(key).or_insert(0) += 1;
            }
        }
        true
    });
    counts
}

fn quality(_: &Title, material: &Material) -> Vec<String> {
    vec![material.quality.clone()]
}

fn genres(title: &Title, _: &Material) -> Vec<String> {
    title.genres.iter().filter_map(|id| REFERENCE.genre(*id)).map(|genre| genre.russian.to_lowercase()).collect()
}

fn envelope(counts: &BTreeMap<String, usize>, items: Vec<Value>) -> Reply {
    Reply::json(&json!({ "time": "3ms", "total": counts.values().sum::<usize>(), "results": items }))
}

fn titled_counts(catalogue: &Catalogue, params: &Params, keys: impl Fn(&Title, &Material) -> Vec<String>) -> Reply {
    let counts = counts(catalogue, params, keys);
    let items = counts.iter().map(|(title, count)| json!({ "title": title, "count": count })).collect();
    envelope(&counts, items)
}

fn years(catalogue: &Catalogue, params: &Params) -> Reply {
    let counts = counts(catalogue, params, |title, _| title.year().map(|year| year.to_string()).into_iter().collect());
    let items = counts
        .iter()
        .rev()
        .map(|(year, count)| json!({ "year": year.parse::<u32>().unwrap_or(0), "count": count }))
        .collect();
    envelope(&counts, items)
}

fn translations_v1() -> Reply {
    let items = REFERENCE.translations.iter().map(|it| json!({ "id": it.id, "title": it.title, "type": it.kind }));
    Reply::json(&Value::Array(items.collect()))
}

fn translations_v2(catalogue: &Catalogue, params: &Params) -> Reply {
    let counts = counts(catalogue, params, |_, material| vec![material.voice.to_string()]);
    let items = REFERENCE.translations.iter().filter_map(|it| {
        counts.get(&it.id.to_string()).map(|count| json!({ "id": it.id, "title": it.title, "count": count }))
    });
    envelope(&counts, items.collect())
}
