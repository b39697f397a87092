//! What a step has read, by person.

use std::collections::{BTreeMap, BTreeSet};

use super::loaded::{Loaded, Turn};
use super::owners::anonymous_fragments;
use crate::views::person_day::PersonDay;
use crate::views::{Day, Fragment, PersonKey};

/// A person's days.
pub(super) type Days = BTreeMap<Day, PersonDay>;

/// Fragments by whose they are and when, before and after.
pub(super) struct Mine<'a>(pub(super) BTreeMap<(PersonKey, Day), Turn<Vec<&'a Fragment>>>);

impl<'a> Mine<'a> {
    pub(super) fn of<'p>(loaded: &'a Loaded, persons: impl Iterator<Item = &'p PersonKey>) -> Self {
        let persons: BTreeSet<_> = persons.collect();
        let mut mine = BTreeMap::<_, Turn<Vec<_>>>::new();
        for ((stream, day), turn) in &loaded.days {
            let user = PersonKey::User(stream.user_id.clone());
            if stream.is_anonymous() || !persons.contains(&user) {
                continue;
            }
            let entry = mine.entry((user, *day)).or_default();
            entry.old.extend(&turn.old.fragments);
            entry.new.extend(&turn.new.fragments);
        }
        for visitor in visitors(loaded) {
            let links = loaded.users_of(visitor);
            for (day, fragment, person) in anonymous_fragments(loaded, visitor, &links.old, |turn| &turn.old)
            {
                if persons.contains(&person) {
                    mine.entry((person, day)).or_default().old.push(fragment);
                }
            }
            for (day, fragment, person) in anonymous_fragments(loaded, visitor, &links.new, |turn| &turn.new)
            {
                if persons.contains(&person) {
                    mine.entry((person, day)).or_default().new.push(fragment);
                }
            }
        }
        Self(mine)
    }

    /// The touched days of each person, or all. Other days were read for somebody else, and perhaps not all of them.
    pub(super) fn split(
        self,
        touched: &BTreeMap<PersonKey, BTreeSet<Day>>,
        whole: &BTreeSet<PersonKey>,
    ) -> BTreeMap<PersonKey, Turn<Days>> {
        let mut split: BTreeMap<_, Turn<Days>> = touched
            .keys()
            .map(|person| (person.clone(), Turn::default()))
            .collect();
        for ((person, day), fragments) in self.0 {
            if !whole.contains(&person) && !touched[&person].contains(&day) {
                continue;
            }
            let days = split.entry(person).or_default();
            days.old
                .extend(PersonDay::new(fragments.old).map(|facts| (day, facts)));
            days.new
                .extend(PersonDay::new(fragments.new).map(|facts| (day, facts)));
        }
        split
    }
}

fn visitors(loaded: &Loaded) -> BTreeSet<&str> {
    let of_days = loaded.days.keys().map(|(stream, _)| stream.anonymous_id.as_str());
    of_days.filter(|visitor| !visitor.is_empty()).collect()
}
