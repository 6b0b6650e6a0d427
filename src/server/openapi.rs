//! The description of the API (OpenAPI 3.1), made from the routes themselves.
//!
//! Every handler describes itself with `#[utoipa::path]`; what is the same for all of them is added here: who may ask
//! (a route with `security` needs the token), the trace id, and every refusal that the layers around the handlers can
//! give. A handler lists only the refusals of its own.

use axum::body::Bytes;
use http::header;
use serde_json::{Map, Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::OpenApi;

use super::answer::{ErrorEnvelope, ErrorInside, PROBLEM, Problem, Style};
use super::negotiate::AllTypes;

/// The scheme of the header that the contract uses.
const INTERNAL_TOKEN: &str = "internal_token";

/// Refusals of the layers around the handlers: name, status, when.
const REFUSALS: &[(&str, u16, &str)] = &[
    ("BadRequest", 400, "The request cannot be read."),
    ("TokenMissing", 401, "There is no token."),
    ("TokenWrong", 403, "The token is wrong."),
    ("NotAcceptable", 406, "`Accept` names nothing that this route answers."),
    ("TooLarge", 413, "The body is too large."),
    ("UriTooLong", 414, "The address is too long."),
    ("WrongType", 415, "The body is of a type that this route does not take."),
    ("Invalid", 422, "The request is not what is asked for."),
    ("TooManyRequests", 429, "The token has too many requests in work: come back after `Retry-After` seconds."),
    ("HeaderTooLarge", 431, "The headers are too many or too large."),
    ("Failed", 500, "The server failed; its log says why, under the trace id."),
    ("Busy", 503, "Too many requests at once, or the store does not answer: come back after `Retry-After` seconds."),
];

/// What the routes say about themselves, made whole.
#[derive(Debug)]
pub(super) struct Description {
    /// The document.
    pub(super) document: Bytes,
    /// The types of bodies of each route.
    pub(super) types: AllTypes,
}

impl Description {
    /// Of these routes.
    pub(super) fn of(api: &OpenApi) -> Self {
        let document = document(api);
        let types = AllTypes::of(&document["paths"]);
        Self { document: Bytes::from(serde_json::to_vec(&document).unwrap_or_default()), types }
    }
}

fn document(api: &OpenApi) -> Value {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "parser",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The import API of an anime catalogue, and what its readers ask. Routes below `/api/v1/internal` and \
                            `/api/v1/anime` keep an existing contract and its error envelope; all others refuse with problem \
                            details (RFC 9457).",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/", "description": "This server" }],
        "tags": [
            { "name": "imports", "description": "Imports: a job, its batches, the outcome of every record" },
            { "name": "staging", "description": "Records that wait for the catalogue, and those it could not take" },
            { "name": "jobs", "description": "The four jobs that bring staged records into the catalogue" },
            { "name": "contract", "description": "The existing import contract: series, then its episodes, then one video at a time" },
            { "name": "catalogue", "description": "What sites read" },
            { "name": "server", "description": "Probes, metrics and this description" },
        ],
    });
    // What serialises, serialises into a value as well.
    let own = serde_json::to_value(api).unwrap_or_default();
    let mut paths = own.get("paths").cloned().unwrap_or_default();
    let mut used = Vec::new();
    for (path, item) in paths.as_object_mut().into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            complete(path, operation);
            used.extend(operation["tags"].as_array().into_iter().flatten().cloned());
        }
    }
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.retain(|tag| used.contains(&tag["name"]));
    }
    document["paths"] = paths;
    let mut components = own.get("components").cloned().unwrap_or_else(|| json!({}));
    // What is no record fails alone, and the others are taken: a batch may hold anything.
    if let Some(items) = components.pointer_mut("/schemas/NewBatch/oneOf/0/items") {
        *items = json!({ "anyOf": [items.take(), {}] });
    }
    components["schemas"]["Problem"] = schema(&Problem::schema());
    components["schemas"]["ErrorEnvelope"] = schema(&ErrorEnvelope::schema());
    components["schemas"]["ErrorInside"] = schema(&ErrorInside::schema());
    components["responses"] = refusals();
    components["headers"] = json!({
        "TraceId": {
            "description": "Joins the answer to the server's log. A caller's own `X-Trace-ID` is adopted.",
            "required": true,
            "schema": { "type": "string" },
        },
        "RetryAfter": {
            "description": "Seconds after which to come back.",
            "required": true,
            "schema": { "type": "integer", "minimum": 1 },
        },
    });
    components["securitySchemes"] = json!({
        INTERNAL_TOKEN: {
            "type": "apiKey", "in": "header", "name": "X-Internal-Token",
            "description": "The token (`INTERNAL_TOKEN`) in the contract's header.",
        },
        "bearer": { "type": "http", "scheme": "bearer", "description": "The same token as `Authorization: Bearer`." },
    });
    document["components"] = components;
    document
}

fn schema(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// Adds to an operation what it shares with its neighbours.
fn complete(path: &str, operation: &mut Value) {
    let style = Style::of(path);
    let guarded = operation.get("security").is_some();
    let takes = operation.get("requestBody").is_some();
    let asks = takes || operation.get("parameters").is_some();
    let bounded = path.starts_with("/api/");
    let own = style == Style::Problem;
    for (name, status, _) in REFUSALS {
        let given = match status {
            400 | 413 => takes,
            415 => takes && own,
            401 => guarded && own,
            403 | 429 => guarded,
            406 => own && bounded,
            // The contract refuses a missing token and any other type of body in these words.
            422 => asks || (guarded && !own),
            500 | 503 => bounded,
            _ => true,
        };
        let responses = &mut operation["responses"];
        if given && responses.get(status.to_string()).is_none() {
            let reference = match style {
                Style::Contract => format!("#/components/responses/Contract{name}"),
                Style::Problem => format!("#/components/responses/{name}"),
            };
            responses[status.to_string()] = json!({ "$ref": reference });
        }
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        // A schema that is written by hand has the parameter's description with it.
        if parameter.get("description").is_none() {
            let lifted = parameter.get_mut("schema").and_then(Value::as_object_mut);
            if let Some(told) = lifted.and_then(|schema| schema.remove("description")) {
                parameter["description"] = told;
            }
        }
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if response.get("$ref").is_some() {
            continue;
        }
        response["headers"]["X-Trace-ID"] = json!({ "$ref": "#/components/headers/TraceId" });
        // A refusal without a body of its own has that of all refusals.
        if status.starts_with(['4', '5']) && response.get("content").is_none() {
            response["content"] = content(style);
        }
    }
}

/// The body of a refusal.
fn content(style: Style) -> Value {
    let (media, schema) = match style {
        Style::Contract => ("application/json", "ErrorEnvelope"),
        Style::Problem => (PROBLEM, "Problem"),
    };
    json!({ media: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

/// All refusals, in both styles.
fn refusals() -> Value {
    let mut all = Map::new();
    for (prefix, style) in [("", Style::Problem), ("Contract", Style::Contract)] {
        for (name, status, when) in REFUSALS {
            if style == Style::Contract && matches!(status, 401 | 406 | 415) {
                continue;
            }
            let mut headers = json!({ "X-Trace-ID": { "$ref": "#/components/headers/TraceId" } });
            match status {
                429 | 503 => headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" }),
                401 => {
                    headers[header::WWW_AUTHENTICATE.as_str()] =
                        json!({ "required": true, "schema": { "type": "string" } });
                }
                _ => {}
            }
            let response = json!({ "description": when, "headers": headers, "content": content(style) });
            all.insert(format!("{prefix}{name}"), response);
        }
    }
    Value::Object(all)
}
