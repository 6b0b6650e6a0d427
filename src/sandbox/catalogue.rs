//! One view over the hand-written and the generated catalogue: titles by id, materials in the order a listing asks for.

use std::borrow::Cow;
use std::sync::RwLock;

use super::data::{Material, Title};
use super::generated::Generated;
use super::seasons::Span;
use super::{SandboxError, Titles, fixture};

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `updated_at`.
    Updated,
    /// `created_at`.
    Created,
    /// `year`.
    Year,
    /// Any of the ratings: the sandbox knows one score.
    Rating,
}

impl Sort {
    /// The name as Kodik spells it.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "updated_at" => Self::Updated,
            "created_at" => Self::Created,
            "year" => Self::Year,
            "kinopoisk_rating" | "imdb_rating" | "shikimori_rating" => Self::Rating,
            _ => return None,
        })
    }

    /// The number that stands in a cursor: milliseconds for times.
    pub(crate) fn value(self, title: &Title, material: &Material) -> i64 {
        match self {
            Self::Updated => material.updated_at * 1000,
            Self::Created => material.created_at * 1000,
            Self::Year => title.year().map_or(0, i64::from),
            #[expect(clippy::cast_possible_truncation, reason = "a score is between 0 and 10")]
            Self::Rating => (title.score * 100.0) as i64,
        }
    }
}

/// The titles that both servers serve.
#[derive(Debug)]
pub(crate) enum Catalogue {
    /// Loaded whole, ascending by id; may change while the sandbox runs.
    Fixture(RwLock<Vec<Title>>),
    /// Computed on demand; a listing is always in update order, whatever it is sorted by.
    Generated(Generated),
}

impl Catalogue {
    /// Opens what the options name.
    pub(crate) fn open(titles: Titles) -> Result<Self, SandboxError> {
        Ok(match titles {
            Titles::Fixture => Self::Fixture(RwLock::new(fixture::load()?)),
            Titles::Generated { titles, seed } => Self::Generated(Generated::new(titles, seed)),
        })
    }

    /// Calls `each` with every title, ascending by id, until it says stop.
    pub(crate) fn for_each_title(&self, mut each: impl FnMut(&Title) -> bool) {
        match self {
            Self::Fixture(titles) => {
                let titles = titles.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                let _ = titles.iter().all(each);
            }
            Self::Generated(generated) => {
                let _ = (0..generated.titles()).all(|index| each(&generated.title(index)));
            }
        }
    }

    /// The title of a Shikimori id.
    pub(crate) fn title(&self, id: u64) -> Option<Title> {
        match self {
            Self::Fixture(titles) => {
                let titles = titles.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                titles.binary_search_by_key(&id, |title| title.id).ok().map(|index| titles[index].clone())
            }
            Self::Generated(generated) => generated.index_of(id).map(|index| generated.title(index)),
        }
    }

    /// Up to `wanted` titles from `skip` on, ascending (or descending) by id: a page that costs what it shows.
    pub(crate) fn titles_by_id(&self, skip: u64, wanted: u64, descending: bool) -> Option<Vec<Title>> {
        let Self::Generated(generated) = self else { return None };
        let count = generated.titles();
        let pages = (skip..count.min(skip.saturating_add(wanted)))
            .map(|index| generated.title(if descending { count - 1 - index } else { index }));
        Some(pages.collect())
    }

    /// The materials in the order of a listing.
    pub(crate) fn listing(&self, sort: Sort, descending: bool) -> Listing<'_> {
        match self {
            Self::Fixture(titles) => {
                let titles = titles.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                let mut order: Vec<(i64, usize, usize)> = Vec::new();
                for (index, title) in titles.iter().enumerate() {
                    for (ordinal, material) in title.kodik.iter().enumerate() {
                        order.push((sort.value(title, material), index, ordinal));
                    }
                }
                // Ties are broken by the id, so that a cursor names exactly one place.
                order.sort_by(|left, right| {
                    (left.0, &titles[left.1].kodik[left.2].id).cmp(&(right.0, &titles[right.1].kodik[right.2].id))
                });
                if descending {
                    order.reverse();
                }
                Listing { entries: Entries::Fixture { titles, order }, descending }
            }
            Self::Generated(generated) => Listing { entries: Entries::Generated(generated), descending },
        }
    }

    /// Marks a title as changed now and appends one episode to every serial material of it. `false` if it is unknown
    /// or the catalogue is generated.
    pub(crate) fn touch(&self, id: u64, now_seconds: i64) -> bool {
        let Self::Fixture(titles) = self else { return false };
        let mut titles = titles.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Ok(index) = titles.binary_search_by_key(&id, |title| title.id) else { return false };
        for material in &mut titles[index].kodik {
            material.updated_at = now_seconds;
            if let Some(season) = material.seasons.last_mut() {
                let next = season.last() + 1;
                season.episodes.push(Span::Range(next, next));
            }
        }
        true
    }
}

/// Materials in order, by position.
pub(crate) struct Listing<'a> {
    entries: Entries<'a>,
    descending: bool,
}

enum Entries<'a> {
    Fixture { titles: Vec<Title>, order: Vec<(i64, usize, usize)> },
    Generated(&'a Generated),
}

impl Listing<'_> {
    /// How many materials there are.
    pub(crate) fn len(&self) -> usize {
        match &self.entries {
            Entries::Fixture { order, .. } => order.len(),
            Entries::Generated(generated) => usize::try_from(generated.materials()).unwrap_or(usize::MAX),
        }
    }

    /// The title at a position and which of its materials it is.
    pub(crate) fn at(&self, position: usize) -> (Cow<'_, Title>, usize) {
        match &self.entries {
            Entries::Fixture { titles, order } => {
                let (_, index, ordinal) = order[position];
                (Cow::Borrowed(&titles[index]), ordinal)
            }
            Entries::Generated(generated) => {
                let position = position as u64;
                let position = if self.descending { generated.materials() - 1 - position } else { position };
                let (index, ordinal) = generated.at_position(position);
                (Cow::Owned(generated.title(index)), ordinal)
            }
        }
    }

    /// The first position at or after the place that a cursor names, and whether the named material stands there. The
    /// material need not exist any more: the sort value alone keeps the place.
    pub(crate) fn seek(&self, value: i64, id: &str) -> Option<(usize, bool)> {
        match &self.entries {
            Entries::Fixture { titles, order } => {
                let place = order.partition_point(|(at, index, ordinal)| {
                    let ordering = (*at, titles[*index].kodik[*ordinal].id.as_str()).cmp(&(value, id));
                    if self.descending { ordering.is_gt() } else { ordering.is_lt() }
                });
                let exact = order.get(place).is_some_and(|(_, index, ordinal)| titles[*index].kodik[*ordinal].id == id);
                Some((place, exact))
            }
            Entries::Generated(generated) => {
                let position = generated.position_of(id)?;
                let position = if self.descending { generated.materials() - 1 - position } else { position };
                Some((usize::try_from(position).ok()?, true))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Sort};
    use crate::sandbox::Titles;

    #[test]
    fn fixture_listing_is_sorted_and_seekable() {
        let catalogue = Catalogue::open(Titles::Fixture).unwrap();
        for (sort, descending) in
            [(Sort::Updated, false), (Sort::Updated, true), (Sort::Year, false), (Sort::Year, true)]
        {
            let listing = catalogue.listing(sort, descending);
            for position in 0..listing.len() {
                let (title, ordinal) = listing.at(position);
                let material = &title.kodik[ordinal];
                let value = sort.value(&title, material);
                assert_eq!(listing.seek(value, &material.id), Some((position, true)));
            }
        }
    }

    #[test]
    fn a_touched_title_moves_to_the_end() {
        let catalogue = Catalogue::open(Titles::Fixture).unwrap();
        let (title, _) = {
            let listing = catalogue.listing(Sort::Updated, false);
            let (title, ordinal) = listing.at(0);
            (title.into_owned(), ordinal)
        };
        assert!(catalogue.touch(title.id, 4_000_000_000));
        let listing = catalogue.listing(Sort::Updated, true);
        assert_eq!(listing.at(0).0.id, title.id);
        assert!(!catalogue.touch(1, 0));
    }
}
