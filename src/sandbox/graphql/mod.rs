//! `POST /api/graphql`: parse the query, check it against the schema and its limits, answer exactly what was asked.

mod parse;
mod resolve;
mod schema;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::parse::Field;
use super::catalogue::Catalogue;
use super::reply::Reply;
use super::select::Selection;

/// Shikimori's own limits.
const MAX_DEPTH: usize = 5;
const MAX_COMPLEXITY: usize = 190;
const MAX_LIMIT: u64 = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// Answers a query, and says which titles it asked for (for the request log).
pub(super) fn answer(catalogue: &Catalogue, body: &[u8]) -> (Reply, Option<String>) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        return (errors("No query string was present"), None);
    };
    let variables = envelope.variables.unwrap_or_default();
    let fields = match parse::parse(&envelope.query, &variables) {
        Ok(fields) => fields,
        Err(message) => return (errors(&message), None),
    };
    if let Err(message) = check(&fields) {
        return (errors(&message), None);
    }
    let mut data = Map::new();
    let mut asked = Vec::new();
    for field in &fields {
        let value = match field.name.as_str() {
            "__typename" => json!("Query"),
            _ => match animes(catalogue, field) {
                Ok((value, what)) => {
                    asked.push(what);
                    value
                }
                Err(message) => return (errors(&message), None),
            },
        };
        data.insert(field.alias.clone(), value);
    }
    (Reply::json(&json!({ "data": data })), Some(asked.join("&")))
}

/// GraphQL's errors come with HTTP 200.
fn errors(message: &str) -> Reply {
    Reply::json(&json!({ "errors": [{ "message": message }] }))
}

/// Names, depth and complexity, before anything is looked up.
fn check(fields: &[Field]) -> Result<(), String> {
    let complexity = schema::check("Query", fields)?;
    let depth = fields.iter().map(Field::depth).max().unwrap_or(0);
    if depth > MAX_DEPTH {
        return Err(format!("Query has depth of {depth}, which exceeds max depth of {MAX_DEPTH}"));
    }
    if complexity > MAX_COMPLEXITY {
        return Err(format!("Query has complexity of {complexity}, which exceeds max complexity of {MAX_COMPLEXITY}"));
    }
    Ok(())
}

fn animes(catalogue: &Catalogue, field: &Field) -> Result<(Value, String), String> {
    let text = |name: &str| {
        field.argument(name).and_then(|value| match value {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
            _ => None,
        })
    };
    let number = |name: &str| field.argument(name).and_then(Value::as_u64);
    let limit = number("limit").unwrap_or(2);
    if limit > MAX_LIMIT {
        return Err(format!("limit must be less than or equal to {MAX_LIMIT}"));
    }
    if limit > 1 && field.selections.iter().any(|it| it.name == "chronology") {
        return Err("chronology is available only with limit: 1".to_owned());
    }
    let selection = Selection {
        page: number("page").unwrap_or(1).clamp(1, 100_000),
        limit: limit.max(1),
        order: text("order"),
        kind: text("kind"),
        status: text("status"),
        season: text("season"),
        score: field.argument("score").and_then(Value::as_f64),
        duration: text("duration"),
        rating: text("rating"),
        genre: text("genre"),
        studio: text("studio"),
        franchise: text("franchise"),
        censored: field.argument("censored").and_then(Value::as_bool).unwrap_or(true),
        ids: text("ids"),
        exclude_ids: text("excludeIds"),
        search: text("search"),
    };
    let titles = selection.run(catalogue);
    let items = titles.iter().map(|title| resolve::anime(catalogue, title, &field.selections)).collect();
    let asked = format!(
        "page={}&limit={}&ids={}&search={}",
        selection.page,
        selection.limit,
        selection.ids.unwrap_or_default(),
        selection.search.unwrap_or_default()
    );
    Ok((Value::Array(items), asked))
}
