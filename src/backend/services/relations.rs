//! Relations: what a record states of other entities, and what that changes.

use std::collections::BTreeSet;

use super::types;
use crate::store::catalogue::relations::Stated;

/// More relations of one entity are a mistake.
const MOST: usize = 10_000;

/// What a series is to the one that it names as its parent.
pub const PARENT: &str = "parent";

/// What a series states of others: its parent, and whatever else it is related to. A relation to itself and one without
/// a word for it are left out.
pub fn of_series(own: &str, parent: Option<&str>, others: &[(String, String)]) -> BTreeSet<Stated> {
    let parent = parent.map(|id| (PARENT.to_owned(), id.to_owned()));
    let others = others.iter().filter_map(|(kind, id)| Some((types::relation(kind)?, id.clone())));
    let stated = parent.into_iter().chain(others).filter(|(_, id)| id != own);
    stated.map(|(detail, other)| Stated { other, detail }).take(MOST).collect()
}

/// What a character states of series: one role in each, the most important one.
pub fn of_character(appearances: &[(String, &'static str)]) -> BTreeSet<Stated> {
    let main: BTreeSet<&str> =
        appearances.iter().filter(|(_, role)| *role == "main").map(|(id, _)| id.as_str()).collect();
    let role = |id: &str| if main.contains(id) { "main" } else { "supporting" };
    let stated = appearances.iter().map(|(id, _)| Stated { other: id.clone(), detail: role(id).to_owned() });
    stated.take(MOST).collect()
}

/// What a pet states of its owners.
pub fn of_pet(owners: &[String]) -> BTreeSet<Stated> {
    owners.iter().map(|id| Stated { other: id.clone(), detail: String::new() }).take(MOST).collect()
}

/// How a set of relations changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Not stated any more.
    pub gone: Vec<Stated>,
    /// Stated for the first time, or with another detail.
    pub new: Vec<Stated>,
}

impl Difference {
    /// How many relations change.
    pub fn len(&self) -> u64 {
        (self.gone.len() + self.new.len()) as u64
    }

    /// Does nothing change?
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }
}

/// What to take back and what to state, from what was stated before to what is stated now.
pub fn difference(before: &[Stated], after: &BTreeSet<Stated>) -> Difference {
    let before: BTreeSet<&Stated> = before.iter().collect();
    Difference {
        gone: before.iter().filter(|stated| !after.contains(**stated)).map(|stated| (*stated).clone()).collect(),
        new: after.iter().filter(|stated| !before.contains(stated)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{difference, of_character, of_pet, of_series};
    use crate::store::catalogue::relations::Stated;

    fn stated(other: &str, detail: &str) -> Stated {
        Stated { other: other.to_owned(), detail: detail.to_owned() }
    }

    #[test]
    fn a_series_is_not_related_to_itself() {
        let others = [
            ("Sequel".to_owned(), "3".to_owned()),
            ("prequel".to_owned(), "1".to_owned()),
            (" ".to_owned(), "4".to_owned()),
        ];
        let found = of_series("1", Some("2"), &others);
        assert_eq!(found, BTreeSet::from([stated("2", "parent"), stated("3", "sequel")]));
    }

    #[test]
    fn the_most_important_role_stands() {
        let found =
            of_character(&[("5".to_owned(), "supporting"), ("5".to_owned(), "main"), ("6".to_owned(), "supporting")]);
        assert_eq!(found, BTreeSet::from([stated("5", "main"), stated("6", "supporting")]));
        assert_eq!(of_pet(&["9".to_owned(), "9".to_owned()]).len(), 1);
    }

    proptest! {
        #[test]
        fn a_difference_leads_from_one_to_the_other(
            before in prop::collection::vec(("[ab]", "[xy]"), 0..8),
            after in prop::collection::vec(("[ab]", "[xy]"), 0..8),
        ) {
            let set = |list: &[(String, String)]| -> BTreeSet<Stated> {
                list.iter().map(|(other, detail)| stated(other, detail)).collect()
            };
            let (before, after) = (set(&before), set(&after));
            let list: Vec<Stated> = before.iter().cloned().collect();
            let changed = difference(&list, &after);
            let mut now = before;
            for gone in &changed.gone {
                prop_assert!(now.remove(gone));
            }
            for new in &changed.new {
                prop_assert!(now.insert(new.clone()));
            }
            prop_assert_eq!(now, after);
        }
    }
}
