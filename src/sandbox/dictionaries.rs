//! Kodik's reference lists: translations, genres, countries, qualities, years.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::data::{Material, Title};
use super::filter::Filter;
use super::params::Params;
use super::reference::REFERENCE;
use super::reply::Reply;

/// Answers one of the lists; `None` if the path is none of them.
pub(super) fn answer(catalogue: &Catalogue, path: &str, params: &Params) -> Option<Reply> {
    Some(match path {
        "/translations" => translations_v1(),
        "/translations/v2" => translations_v2(catalogue, params),
        "/genres" => titled_counts(catalogue, params, by_genre),
        "/countries" => titled_counts(catalogue, params, |_, _| vec!["Япония".to_owned()]),
        "/qualities" => {
            let names = counts(catalogue, params, quality).into_keys();
            Reply::json(&names.map(|title| json!({ "title": title })).collect())
        }
        "/qualities/v2" => titled_counts(catalogue, params, quality),
        "/years" => years(catalogue, params),
        _ => return None,
    })
}

/// How many materials have each key.
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

fn by_genre(title: &Title, _: &Material) -> Vec<String> {
    title.genres.iter().filter_map(|id| REFERENCE.genre(*id)).map(|genre| genre.russian.to_lowercase()).collect()
}

fn envelope(counts: &BTreeMap<String, usize>, items: &[Value]) -> Reply {
    Reply::json(&json!({ "time": "3ms", "total": counts.values().sum::<usize>(), "results": items }))
}

fn titled_counts(catalogue: &Catalogue, params: &Params, keys: impl Fn(&Title, &Material) -> Vec<String>) -> Reply {
    let counts = counts(catalogue, params, keys);
    let items: Vec<Value> = counts.iter().map(|(title, count)| json!({ "title": title, "count": count })).collect();
    envelope(&counts, &items)
}

fn years(catalogue: &Catalogue, params: &Params) -> Reply {
    let counts = counts(catalogue, params, |title, _| title.year().map(|year| year.to_string()).into_iter().collect());
    let items: Vec<Value> = counts
        .iter()
        .rev()
        .map(|(year, count)| json!({ "year": year.parse::<u32>().unwrap_or(0), "count": count }))
        .collect();
    envelope(&counts, &items)
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
    envelope(&counts, &items.collect::<Vec<_>>())
}
