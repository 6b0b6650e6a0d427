//! Which materials a Kodik request means: the parameters that `/list` and `/search` share.

use super::data::{Material, Title};
use super::params::Params;
use super::reference::REFERENCE;

/// The filters that `/list` and `/search` share.
pub(super) struct Filter<'a>(Vec<(&'a str, Vec<&'a str>, &'a Params)>);

impl<'a> Filter<'a> {
    pub(super) fn of(params: &'a Params) -> Self {
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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn admits(&self, title: &Title, material: &Material) -> bool {
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
