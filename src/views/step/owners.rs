//! Whose the fragments are that a step has read.

use std::collections::{BTreeMap, BTreeSet};

use super::loaded::Loaded;
use crate::identity::{Links, SignedIn};
use crate::views::fragment::GAP;
use crate::views::{Day, Fragment, PersonKey, Stream, StreamDay};

/// Persons and their days that a step touches.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) touched: BTreeMap<PersonKey, BTreeSet<Day>>,
    /// Those who lose something that was theirs: what they come to has to be counted from the beginning.
    pub(super) losers: BTreeSet<PersonKey>,
}

impl Owners {
    /// Compares before and after, over all that was read.
    pub(super) fn find(loaded: &Loaded) -> Self {
        let mut owners = Self::default();
        for ((stream, day), turn) in &loaded.days {
            if turn.old != turn.new && !stream.is_anonymous() {
                owners.touch(&PersonKey::User(stream.user_id.clone()), *day);
            }
        }
        for visitor in loaded.visitors() {
            let links = loaded.users_of(visitor);
            let (before, after): (BTreeSet<_>, BTreeSet<_>) =
                (links.old.users().collect(), links.new.users().collect());
            // How many anonymous ids a user has changes even if no event does.
            for user in before.symmetric_difference(&after) {
                owners
                    .touched
                    .entry(PersonKey::User((*user).to_owned()))
                    .or_default();
            }
            let old = owned(loaded, visitor, &links.old, |turn| &turn.old);
            let new = owned(loaded, visitor, &links.new, |turn| &turn.new);
            owners.compare(&old, &new);
        }
        owners
    }

    /// Whose an anonymous id's fragments without a user were, and are.
    fn compare(&mut self, old: &Owned<'_>, new: &Owned<'_>) {
        let persons: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for (person, day) in persons {
            let (before, after) = (old.get(&(person.clone(), *day)), new.get(&(person.clone(), *day)));
            if before != after {
                self.touch(person, *day);
                // Fragments only grow and join while they are the same person's.
                let holds = |fragment: &&Fragment| {
                    let after = after.map(Vec::as_slice).unwrap_or_default();
                    after
                        .iter()
                        .any(|after| after.started <= fragment.started && fragment.ended <= after.ended)
                };
                if !before.is_none_or(|before| before.iter().all(holds)) {
                    self.losers.insert(person.clone());
                }
            }
        }
    }

    fn touch(&mut self, person: &PersonKey, day: Day) {
        self.touched.entry(person.clone()).or_default().insert(day);
    }
}

/// Fragments without a user, by whose they are and when.
type Owned<'a> = BTreeMap<(PersonKey, Day), Vec<&'a Fragment>>;

fn owned<'a>(
    loaded: &'a Loaded,
    visitor: &str,
    links: &Links,
    side: impl Fn(&'a super::loaded::Turn<StreamDay>) -> &'a StreamDay,
) -> Owned<'a> {
    let mut owned = Owned::new();
    for (day, fragment, person) in anonymous_fragments(loaded, visitor, links, side) {
        owned.entry((person, day)).or_default().push(fragment);
    }
    owned
}

/// The fragments of an anonymous id that name no user, each with whose it is. Where users share the id, all its days must have
/// been read: a session may reach over midnight.
pub(super) fn anonymous_fragments<'a>(
    loaded: &'a Loaded,
    visitor: &str,
    links: &Links,
    side: impl Fn(&'a super::loaded::Turn<StreamDay>) -> &'a StreamDay,
) -> Vec<(Day, &'a Fragment, PersonKey)> {
    let first = Stream {
        anonymous_id: visitor.to_owned(),
        user_id: String::new(),
    };
    let of_visitor = loaded
        .days
        .range((first, Day(i32::MIN))..)
        .take_while(|((stream, _), _)| stream.anonymous_id == visitor);
    let mut all: Vec<(Day, &Stream, &Fragment)> = of_visitor
        .flat_map(|((stream, day), turn)| {
            side(turn)
                .fragments
                .iter()
                .map(move |fragment| (*day, stream, fragment))
        })
        .collect();
    let signed_in = match links.is_shared() {
        true => sessions(&mut all),
        false => vec![SignedIn::default(); all.len()],
    };
    all.iter()
        .zip(signed_in)
        .filter(|((_, stream, _), _)| stream.is_anonymous())
        .map(|((day, _, fragment), signed_in)| {
            let user = links.owner(&signed_in);
            let person = match user {
                Some(user) => PersonKey::User(user.to_owned()),
                None => PersonKey::Visitor(visitor.to_owned()),
            };
            (*day, *fragment, person)
        })
        .collect()
}

/// Puts fragments in order and says of each who was signed in during its session.
fn sessions(all: &mut [(Day, &Stream, &Fragment)]) -> Vec<SignedIn> {
    all.sort_by_key(|(_, _, fragment)| (fragment.started, fragment.ended));
    let mut signed_in = Vec::with_capacity(all.len());
    let mut from = 0;
    while from < all.len() {
        let mut end = all[from].2.ended;
        let mut to = from + 1;
        while to < all.len() && all[to].2.started - end <= GAP {
            end = end.max(all[to].2.ended);
            to += 1;
        }
        let of =
            |stream: &Stream| SignedIn::from((!stream.is_anonymous()).then_some(stream.user_id.as_str()));
        let session = all[from..to]
            .iter()
            .map(|(_, stream, _)| of(stream))
            .fold(SignedIn::default(), SignedIn::merge);
        signed_in.extend(std::iter::repeat_n(session, to - from));
        from = to;
    }
    signed_in
}
