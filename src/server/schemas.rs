//! What messages must be: `/schemas` lists them, `/schemas/{name}` is the JSON Schema of one.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Refusal;
use super::app::Shared;
use super::params::InPath;
use crate::model::schemas;

/// What a JSON Schema is served as.
const SCHEMA: &str = "application/schema+json";

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

/// The messages.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageSchemas {
    /// One for each message.
    schemas: Vec<ListedSchema>,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedSchema {
    /// Its name in the address.
    name: &'static str,
    /// The name of its type.
    title: String,
    /// `in`: it is consumed; `out`: it is published.
    direction: &'static str,
    /// What it does.
    description: String,
    /// The schema's `$id`.
    id: String,
    /// Where the schema is.
    path: String,
}

/// JSON Schemas of the messages on topics
#[utoipa::path(
    get,
    path = "/schemas",
    operation_id = "listSchemas",
    tag = "server",
    responses((status = 200, description = "The messages", body = MessageSchemas)),
)]
async fn list() -> Json<MessageSchemas> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let listed = schemas::all().into_iter().map(|message| ListedSchema {
        name: message.name,
        title: text(&message.document["title"]),
        direction: message.direction,
        description: message.description,
        id: text(&message.document["$id"]),
        path: format!("/schemas/{}", message.name),
    });
    Json(MessageSchemas { schemas: listed.collect() })
}

/// The JSON Schema of one message
#[utoipa::path(
    get,
    path = "/schemas/{name}",
    operation_id = "getSchema",
    tag = "server",
    params(("name" = String, Path, description = "Name of the message")),
    responses(
        (status = 200, description = "JSON Schema, draft 2020-12", content_type = "application/schema+json", body = serde_json::Value),
        (status = 404, description = "There is no such message"),
    ),
)]
async fn one(InPath(name): InPath<String>) -> Result<Response, Refusal> {
    let found = schemas::all().into_iter().find(|message| message.name == name);
    let message = found.ok_or_else(|| Refusal::http(StatusCode::NOT_FOUND, "There is no such message"))?;
    Ok(([(header::CONTENT_TYPE, SCHEMA)], message.document.to_string()).into_response())
}
