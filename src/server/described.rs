//! Schemas of what the contract takes in several dresses: whole numbers and truth values that may come as text.
//!
//! They say exactly what is taken, so that a client made from the description never meets a surprise.

use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType};
use utoipa::openapi::{RefOr, Type};

/// Where the broadcast of a series stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only described: the word itself is looked up")]
pub(super) enum Status {
    Ongoing,
    Completed,
    Upcoming,
}

fn integer(least: i64, most: i64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(least)).maximum(Some(most))
}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).pattern(Some(pattern))
}

/// 1900 to 2100, or nothing.
pub(super) fn year() -> RefOr<Schema> {
    AnyOfBuilder::new()
        .item(integer(1900, 2100))
        .item(text(r"^\s*\+?0*(19[0-9][0-9]|20[0-9][0-9]|2100)\s*$"))
        .item(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null)))
        .description(Some("Of the first broadcast; 1900 to 2100, also as text"))
        .into()
}

/// The number of an episode.
pub(super) fn number() -> RefOr<Schema> {
    AnyOfBuilder::new()
        .item(integer(0, i64::from(i32::MAX)))
        .item(text(r"^\s*(\+?0*[0-9]{1,9}|-0+)\s*$"))
        .description(Some("In its season; at least 0, also as text"))
        .into()
}

/// The priority of a video.
pub(super) fn priority() -> RefOr<Schema> {
    AnyOfBuilder::new()
        .item(integer(i64::from(i32::MIN), i64::from(i32::MAX)))
        .item(text(r"^\s*[+-]?0*[0-9]{1,9}\s*$"))
        .default(Some(0.into()))
        .description(Some("Higher = preferred; also as text"))
        .into()
}

/// The source's id of a record.
pub(super) fn external_id() -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).min_length(Some(1));
    AnyOfBuilder::new()
        .item(text.max_length(Some(512)))
        .item(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)))
        .description(Some("The source's id; also as a number"))
        .into()
}

/// A truth value.
pub(super) fn truth() -> RefOr<Schema> {
    const WORDS: &str =
        "^([Tt][Rr][Uu][Ee]|[Yy][Ee][Ss]|[Oo][Nn]|[TtYyFfNn01]|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff][Ff])$";
    AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Boolean)))
        .item(integer(0, 1))
        .item(text(WORDS))
        .default(Some(true.into()))
        .description(Some("`false` switches it off; also as 0, 1 or a word"))
        .into()
}

/// `status` of a list; empty = any.
pub(super) fn shown_status() -> RefOr<Schema> {
    words("Only those with this status; empty = with any.", &["ongoing", "completed", "upcoming", ""])
}

/// `sort` of a list; empty = by title.
pub(super) fn sorted_by() -> RefOr<Schema> {
    words("Sorted by this; empty = by title.", &["title", "year", "created_at", "updated_at", ""])
}

/// `order` of a list; empty = ascending.
pub(super) fn direction() -> RefOr<Schema> {
    words("In this direction; empty = ascending.", &["asc", "desc", ""])
}

fn words(meaning: &str, words: &'static [&'static str]) -> RefOr<Schema> {
    let builder = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    builder.description(Some(meaning)).enum_values(Some(words.iter().copied())).into()
}
