//! Which titles a Shikimori request means: the filters, order and paging that REST and GraphQL share.

use super::catalogue::Catalogue;
use super::data::Title;

/// The arguments of `animes`, as text; blank counts as absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) page: u64,
    pub(crate) limit: u64,
    pub(crate) order: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) season: Option<String>,
    pub(crate) score: Option<f64>,
    pub(crate) duration: Option<String>,
    pub(crate) rating: Option<String>,
    pub(crate) genre: Option<String>,
    pub(crate) studio: Option<String>,
    pub(crate) franchise: Option<String>,
    /// `true` (the default) hides adult titles.
    pub(crate) censored: bool,
    pub(crate) ids: Option<String>,
    pub(crate) exclude_ids: Option<String>,
    pub(crate) search: Option<String>,
}

impl Selection {
    /// The titles of the page. Titles that are refused by id do not show in lists either.
    pub(crate) fn run(&self, catalogue: &Catalogue) -> Vec<Title> {
        let skip = self.page.saturating_sub(1).saturating_mul(self.limit);
        let take = usize::try_from(self.limit).unwrap_or(50);
        if let Some(ids) = &self.ids {
            let mut ids: Vec<u64> = ids.split(',').filter_map(|id| digits(id).parse().ok()).collect();
            ids.sort_unstable();
            ids.dedup();
            let found = ids.into_iter().filter_map(|id| catalogue.title(id)).filter(|title| self.admits(title));
            let mut found: Vec<Title> = found.collect();
            self.sort(&mut found);
            return found.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(take).collect();
        }
        if self.is_unfiltered()
            && let Some(titles) = catalogue.titles_by_id(skip, self.limit, self.order.as_deref() == Some("id_desc"))
        {
            return titles;
        }
        let mut found = Vec::new();
        catalogue.for_each_title(|title| {
            if self.admits(title) {
                found.push(title.clone());
            }
            // A generated catalogue may be huge: enough to fill a deep page, never all of it.
            found.len() < 20_000
        });
        self.sort(&mut found);
        found.into_iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).take(take).collect()
    }

    fn is_unfiltered(&self) -> bool {
        self.kind.is_none()
            && self.status.is_none()
            && self.season.is_none()
            && self.score.is_none()
            && self.duration.is_none()
            && self.rating.is_none()
            && self.genre.is_none()
            && self.studio.is_none()
            && self.franchise.is_none()
            && self.exclude_ids.is_none()
            && self.search.is_none()
    }

    fn admits(&self, title: &Title) -> bool {
        let listed = |id: u64, ids: &Option<String>| {
            ids.as_deref().is_some_and(|ids| ids.split(',').any(|text| digits(text).parse() == Ok(id)))
        };
        let numbers = |filter: &Option<String>, numbers: &[u32]| {
            filter
                .as_deref()
                .is_none_or(|filter| matches(filter, |value| numbers.iter().any(|it| *it == leading(value))))
        };
        title.hidden.is_none()
            && !(self.censored && title.is_adult())
            && !listed(title.id, &self.exclude_ids)
            && self.kind.as_deref().is_none_or(|filter| matches(filter, |value| title.kind.as_deref() == Some(value)))
            && self.status.as_deref().is_none_or(|filter| matches(filter, |value| title.status == value))
            && self.rating.as_deref().is_none_or(|filter| matches(filter, |value| title.rating == value))
            && self
                .franchise
                .as_deref()
                .is_none_or(|filter| matches(filter, |value| title.franchise.as_deref() == Some(value)))
            && self.season.as_deref().is_none_or(|filter| matches(filter, |value| in_season(title, value)))
            && self.duration.as_deref().is_none_or(|filter| matches(filter, |value| duration(title.minutes) == value))
            && self.score.is_none_or(|score| title.score >= score)
            && numbers(&self.genre, &title.genres)
            && numbers(&self.studio, &title.studios)
            && self.search.as_deref().is_none_or(|wanted| mentions(title, wanted))
    }

    fn sort(&self, titles: &mut [Title]) {
        match self.order.as_deref().unwrap_or("ranked") {
            "id" | "created_at" => titles.sort_by_key(|title| title.id),
            "id_desc" | "created_at_desc" => titles.sort_by_key(|title| std::cmp::Reverse(title.id)),
            "name" => titles.sort_by(|left, right| left.name.cmp(&right.name)),
            "kind" => titles.sort_by(|left, right| left.kind.cmp(&right.kind)),
            "status" => titles.sort_by(|left, right| left.status.cmp(&right.status)),
            "aired_on" => titles.sort_by(|left, right| right.from.cmp(&left.from)),
            "episodes" => titles.sort_by_key(|title| std::cmp::Reverse(title.episodes)),
            _ => titles.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id))),
        }
    }
}

/// Comma = or, `!` = not.
fn matches(filter: &str, holds: impl Fn(&str) -> bool) -> bool {
    let items: Vec<&str> = filter.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    let refused = items.iter().filter_map(|item| item.strip_prefix('!')).any(&holds);
    let mut wanted = items.iter().filter(|item| !item.starts_with('!')).peekable();
    !refused && (wanted.peek().is_none() || wanted.any(|item| holds(item)))
}

/// Ids in URLs may carry a letter prefix.
pub(crate) fn digits(text: &str) -> &str {
    text.trim().trim_start_matches(|letter: char| letter.is_ascii_alphabetic())
}

/// `12-Some-genre` → 12.
fn leading(text: &str) -> u32 {
    text.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `2019`, `2015_2019`, `winter_2019`.
fn in_season(title: &Title, wanted: &str) -> bool {
    let Some(year) = title.year() else { return false };
    match wanted.split_once('_') {
        None => wanted.parse() == Ok(year),
        Some((from, to)) if from.parse::<u32>().is_ok() => {
            from.parse().is_ok_and(|from: u32| from <= year) && to.parse().is_ok_and(|to: u32| year <= to)
        }
        Some(_) => season(title).as_deref() == Some(wanted),
    }
}

/// `winter_2019`; December belongs to the next winter.
pub(crate) fn season(title: &Title) -> Option<String> {
    let year = title.year()?;
    let month: u32 = title.from.as_deref()?.get(5..7)?.parse().ok()?;
    let (name, year) = match month {
        12 => ("winter", year + 1),
        1 | 2 => ("winter", year),
        3..=5 => ("spring", year),
        6..=8 => ("summer", year),
        _ => ("fall", year),
    };
    Some(format!("{name}_{year}"))
}

fn duration(minutes: u32) -> &'static str {
    match minutes {
        0..=10 => "S",
        11..=30 => "D",
        _ => "F",
    }
}

fn mentions(title: &Title, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    let names = std::iter::once(&title.name).chain(&title.russian).chain(&title.english).chain(&title.synonyms);
    names.chain(&title.japanese).any(|name| name.to_lowercase().contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::{Selection, matches};
    use crate::sandbox::Titles;
    use crate::sandbox::catalogue::Catalogue;

    #[test]
    fn commas_are_or_and_bangs_are_not() {
        let is = |value: &'static str| move |item: &str| item == value;
        assert!(matches("tv,movie", is("tv")));
        assert!(!matches("!tv", is("tv")));
        assert!(matches("!tv", is("movie")));
    }

    #[test]
    fn adult_titles_show_only_uncensored() {
        let catalogue = Catalogue::open(Titles::Fixture).unwrap();
        let count = |censored| {
            let selection =
                Selection { limit: 50, rating: Some("rx".to_owned()), censored, page: 1, ..Selection::default() };
            selection.run(&catalogue).len()
        };
        assert_eq!(count(true), 0);
        assert!(count(false) > 0);
    }
}
