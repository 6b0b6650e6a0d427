//! The Shikimori side over REST. No I/O: a request in, an answer out.

use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::data::{Role, Subject, Title};
use super::graphql;
use super::params::Params;
use super::reference::REFERENCE;
use super::reply::{self, Reply};
use super::rest::{self, brief};
use super::select::{Selection, digits};

/// One request as far as Shikimori looks at it.
pub(crate) struct ShikimoriRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) params: &'a Params,
    pub(crate) body: &'a [u8],
}

/// Answers one request, and says what a GraphQL query asked for (for the request log).
pub(crate) fn answer(catalogue: &Catalogue, request: &ShikimoriRequest<'_>) -> (Reply, Option<String>) {
    let (reply, asked) = route(catalogue, request);
    (with_charset(reply), asked)
}

fn with_charset(mut reply: Reply) -> Reply {
    if reply.content_type == reply::JSON {
        reply.content_type = reply::JSON_UTF8;
    }
    reply
}

fn route(catalogue: &Catalogue, request: &ShikimoriRequest<'_>) -> (Reply, Option<String>) {
    if request.user_agent.is_none_or(|agent| agent.trim().is_empty()) {
        return (failure(403, "Доступ запрещён: не указан User-Agent"), None);
    }
    let path = request.path.trim_end_matches('/');
    match (request.method, path) {
        ("POST", "/api/graphql") => graphql::answer(catalogue, request.body),
        ("GET", _) => (get(catalogue, path, request.params), None),
        _ => (not_found(), None),
    }
}

fn get(catalogue: &Catalogue, path: &str, params: &Params) -> Reply {
    match path {
        "/api/animes" => list(catalogue, params),
        "/api/genres" => genres(),
        "/api/studios" => studios(),
        "/api/constants/anime" => Reply::json(&json!({
            "kind": ["tv", "movie", "ova", "ona", "special", "music"],
            "status": ["anons", "ongoing", "released"],
        })),
        _ => {
            let Some(rest) = path.strip_prefix("/api/animes/") else { return not_found() };
            let (id, part) = rest.split_once('/').unwrap_or((rest, ""));
            let number = digits(id).split('-').next().and_then(|id| id.parse().ok());
            let Some(title) = number.and_then(|id| catalogue.title(id)) else { return not_found() };
            match title.hidden {
                Some(451) => return Reply::text(451, "age_restricted"),
                Some(_) => return not_found(),
                None => {}
            }
            one(catalogue, &title, part)
        }
    }
}

fn one(catalogue: &Catalogue, title: &Title, part: &str) -> Reply {
    let value = match part {
        "" => rest::full(title),
        "roles" => Value::Array(title.roles.iter().map(role).collect()),
        "similar" => {
            let same = Selection {
                page: 1,
                limit: 6,
                censored: true,
                genre: title.genres.first().map(u32::to_string),
                exclude_ids: Some(title.id.to_string()),
                ..Selection::default()
            };
            Value::Array(same.run(catalogue).iter().map(brief).collect())
        }
        "related" => {
            Value::Array(title.related.iter().filter_map(|(label, id)| related(catalogue, label, *id)).collect())
        }
        "screenshots" => Value::Array(rest::screenshots(title)),
        "videos" => Value::Array(rest::videos(title)),
        "external_links" => external_links(title),
        "franchise" => franchise(catalogue, title),
        _ => return not_found(),
    };
    Reply::json(&value)
}

fn list(catalogue: &Catalogue, params: &Params) -> Reply {
    let text = |name: &str| params.get(name).map(str::to_owned);
    let number = |name: &str| params.get(name).and_then(|value| value.parse::<u64>().ok());
    let selection = Selection {
        page: number("page").unwrap_or(1).clamp(1, 100_000),
        limit: number("limit").unwrap_or(1).clamp(1, 50),
        order: text("order"),
        kind: text("kind"),
        status: text("status"),
        season: text("season"),
        score: params.get("score").and_then(|score| score.parse().ok()),
        duration: text("duration"),
        rating: text("rating"),
        genre: text("genre_v2").or_else(|| text("genre")),
        studio: text("studio"),
        franchise: text("franchise"),
        censored: params.get("censored") != Some("false"),
        ids: text("ids"),
        exclude_ids: text("exclude_ids"),
        search: text("search"),
    };
    Reply::json(&Value::Array(selection.run(catalogue).iter().map(brief).collect()))
}

fn role(role: &Role) -> Value {
    json!({
        "roles": role.roles,
        "roles_russian": role.roles_russian,
        "character": role.character.as_ref().map(|it| subject(it, "characters")),
        "person": role.person.as_ref().map(|it| subject(it, "people")),
    })
}

fn subject(subject: &Subject, kind: &str) -> Value {
    let slug = subject.name.to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let image = if subject.poster { rest::image(kind, subject.id) } else { rest::missing_image() };
    json!({
        "id": subject.id,
        "name": subject.name,
        "russian": subject.russian,
        "image": image,
        "url": format!("/{kind}/{}-{slug}", subject.id),
    })
}

fn related(catalogue: &Catalogue, label: &str, id: u64) -> Option<Value> {
    let other = catalogue.title(id)?;
    Some(json!({
        "relation": label,
        "relation_russian": rest::relation_russian(label),
        "anime": brief(&other),
        "manga": null,
    }))
}

fn external_links(title: &Title) -> Value {
    json!([
        {
            "id": title.id * 10, "kind": "official_site", "url": format!("https://{}.example.jp/", title.id),
            "source": "shikimori", "entry_id": title.id, "entry_type": "Anime",
            "created_at": "2022-11-26T17:19:33.393+03:00", "updated_at": "2022-11-26T17:19:33.393+03:00",
            "imported_at": null,
        },
        {
            "id": null, "kind": "myanimelist", "url": format!("https://myanimelist.example/anime/{}", title.id),
            "source": "myanimelist", "entry_id": title.id, "entry_type": "Anime",
            "created_at": null, "updated_at": null, "imported_at": null,
        },
    ])
}

fn franchise(catalogue: &Catalogue, title: &Title) -> Value {
    let mut nodes = vec![rest::franchise_node(title, title.related.len())];
    let mut links = Vec::new();
    for (index, (label, id)) in title.related.iter().enumerate() {
        let Some(other) = catalogue.title(*id) else { continue };
        nodes.push(rest::franchise_node(&other, 1));
        links.push(json!({
            "id": title.id * 10 + index as u64, "source_id": title.id, "target_id": id, "source": 0,
            "target": nodes.len() - 1, "weight": 1, "relation": label.to_lowercase().replace(' ', "_"),
        }));
    }
    json!({ "links": links, "nodes": nodes, "current_id": title.id })
}

fn genres() -> Reply {
    let items = REFERENCE.genres.iter().map(|genre| {
        json!({ "id": genre.id, "name": genre.name, "russian": genre.russian, "kind": "genre", "entry_type": "Anime" })
    });
    Reply::json(&Value::Array(items.collect()))
}

fn studios() -> Reply {
    let items = REFERENCE.studios.iter().map(rest::studio);
    Reply::json(&Value::Array(items.collect()))
}

fn not_found() -> Reply {
    failure(404, "Страница не найдена")
}

fn failure(status: u16, message: &str) -> Reply {
    Reply::json_status(status, &json!({ "message": message, "code": status }))
}

/// What any exception in the application looks like from outside.
pub(crate) fn exception() -> Reply {
    with_charset(Reply::json_status(
        503,
        &json!({ "code": 503, "exception": "ActiveRecord::ConnectionNotEstablished", "message": "connection is closed" }),
    ))
}
