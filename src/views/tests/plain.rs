//! The definitions, without regard for time or memory.

#![allow(clippy::too_many_lines)] // a list of definitions

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use uuid::Uuid;

use super::shelf::Shelf;
use crate::views::step::{Figures, Group};
use crate::views::{Act, Day, DaySet, PersonKey, Transition, Verb, stage_on};

const GAP: i64 = 30 * 60 * 1_000_000;

/// Compares everything that a shelf says with what the acts come to.
pub(super) fn check(
    shelf: &Shelf,
    acts: &[Act],
    revoked: &BTreeSet<(String, String)>,
    today: Day,
) -> Result<(), TestCaseError> {
    let people = by_person(acts, revoked);
    let persons: BTreeSet<_> = people.keys().cloned().collect();
    prop_assert_eq!(shelf.people.keys().cloned().collect::<BTreeSet<_>>(), persons);
    let mut all = BTreeMap::<Day, Figures>::new();
    let mut sessions_count = 0;
    let mut days_count = 0;
    for (person, acts) in &people {
        let (state, view, _) = &shelf.people[person];
        let id = person.person_id();
        let sessions = sessions(acts);
        let days: BTreeSet<_> = acts.iter().map(|act| act.day).collect();
        let count = |verb: Verb| acts.iter().filter(|act| act.verb == verb).count() as i64;
        prop_assert_eq!(state.days.iter().collect::<BTreeSet<_>>(), days.clone());
        prop_assert_eq!(state.counts.events, acts.len() as i64);
        prop_assert_eq!(state.counts.shares, count(Verb::Shared));
        prop_assert_eq!(state.counts.comments, count(Verb::Commented));
        prop_assert_eq!(state.counts.pages, count(Verb::Page));
        let orders = acts.iter().filter(|act| act.verb == Verb::Ordered);
        prop_assert_eq!(state.counts.revenue, orders.map(|act| act.revenue).sum::<i64>());
        prop_assert_eq!(state.sessions, sessions.len() as i64);
        let length = |session: &Vec<&Act>| micros(session[session.len() - 1]) - micros(session[0]);
        prop_assert_eq!(state.session_time, sessions.iter().map(length).sum::<i64>());
        prop_assert_eq!(
            (state.first_seen, state.last_seen),
            (micros(acts[0]), micros(acts[acts.len() - 1]))
        );
        let hours = |hour: u8| {
            acts.iter()
                .filter(|act| act.hour == hour)
                .map(|act| act.day)
                .collect::<BTreeSet<_>>()
                .len()
        };
        prop_assert_eq!(
            state.hours.map(|days| days as usize).to_vec(),
            (0..24).map(hours).collect::<Vec<_>>()
        );
        prop_assert_eq!(state.reads, marks(acts, &[Verb::Read, Verb::Completed]));
        prop_assert_eq!(state.completed_reads, marks(acts, &[Verb::Completed]));
        prop_assert_eq!(state.engaged_seconds, engaged(&sessions));
        let word = acts
            .iter()
            .rfind(|act| matches!(act.verb, Verb::Subscribed | Verb::Unsubscribed));
        prop_assert_eq!(
            state.subscribed.map(|(_, is)| is),
            word.map(|act| act.verb == Verb::Subscribed)
        );
        let with_page = acts.iter().find(|act| act.arrival.landing_path.is_some());
        let first = with_page.unwrap_or(&acts[0]);
        prop_assert_eq!(&state.first.as_ref().unwrap().arrival, &first.arrival);
        for topic in ["topic0", "topic1"] {
            prop_assert!(is_close(
                state
                    .topics
                    .get(topic)
                    .map_or(0.0, |sum| sum.on(state.days.last().unwrap())),
                weight(acts, topic, state.days.last().unwrap())
            ));
        }
        let set: DaySet = days.iter().copied().collect();
        let last_active = set.iter_back(today).next();
        prop_assert_eq!(
            view.as_ref().map(|view| view.stage),
            last_active.and_then(|_| stage_on(&set, today))
        );
        prop_assert_eq!(transitions_of(shelf, id), changes(&set, today));
        for day in &days {
            let row = &shelf.days[&(id, *day)];
            let of_day: Vec<_> = acts.iter().copied().filter(|act| act.day == *day).collect();
            prop_assert_eq!(row.facts.counts.events, of_day.len() as i64);
            prop_assert_eq!(row.facts.reads(), marks(&of_day, &[Verb::Read, Verb::Completed]));
            prop_assert_eq!(
                row.sessions,
                sessions.iter().filter(|session| session[0].day == *day).count() as i64
            );
        }
        days_count += days.len();
        sessions_count += sessions.len();
        for session in &sessions {
            let known = &shelf.sessions[&(id, micros(session[0]))];
            prop_assert_eq!(known.piece.ended, micros(session[session.len() - 1]));
            prop_assert_eq!(known.piece.events, session.len() as i64);
        }
        count_in(&mut all, &set, acts, &sessions);
    }
    prop_assert_eq!(shelf.days.len(), days_count);
    prop_assert_eq!(shelf.sessions.len(), sessions_count);
    let told: BTreeMap<_, _> = shelf
        .crowd
        .iter()
        .filter(|((group, _), _)| *group == Group::All)
        .map(|((_, day), figures)| {
            (
                *day,
                (
                    figures.people,
                    figures.new_people,
                    figures.people_7d,
                    figures.people_28d,
                    figures.sessions,
                    figures.events,
                ),
            )
        })
        .collect();
    let counted: BTreeMap<_, _> = all
        .iter()
        .map(|(day, figures)| {
            (
                *day,
                (
                    figures.people,
                    figures.new_people,
                    figures.people_7d,
                    figures.people_28d,
                    figures.sessions,
                    figures.events,
                ),
            )
        })
        .collect();
    prop_assert_eq!(told, counted);
    Ok(())
}

fn micros(act: &Act) -> i64 {
    act.at.as_microsecond()
}

fn is_close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 0.01 + other.abs() * 1e-3
}

/// Whose each act is; the acts of each person in order.
fn by_person<'a>(acts: &'a [Act], revoked: &BTreeSet<(String, String)>) -> BTreeMap<PersonKey, Vec<&'a Act>> {
    let mut users = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (visitor, user) in acts.iter().flat_map(|act| &act.joins) {
        if !revoked.contains(&(visitor.clone(), user.clone())) {
            users.entry(visitor).or_default().insert(user);
        }
    }
    let mut people = BTreeMap::<PersonKey, Vec<&Act>>::new();
    for act in acts {
        let person = match (&act.user_id, &act.anonymous_id) {
            (Some(user), _) => PersonKey::User(user.clone()),
            (None, Some(visitor)) => owner(act, visitor, users.get(visitor.as_str()), acts),
            (None, None) => continue,
        };
        people.entry(person).or_default().push(act);
    }
    for acts in people.values_mut() {
        acts.sort_by_key(|act| (act.at, act.id));
    }
    people
}

fn owner(act: &Act, visitor: &str, users: Option<&BTreeSet<&str>>, acts: &[Act]) -> PersonKey {
    let users: Vec<_> = users.into_iter().flatten().copied().collect();
    if let [only] = users[..] {
        return PersonKey::User(only.to_owned());
    }
    let mut of_visitor: Vec<_> = acts
        .iter()
        .filter(|other| other.anonymous_id.as_deref() == Some(visitor))
        .collect();
    of_visitor.sort_by_key(|act| (act.at, act.id));
    let session = sessions(&of_visitor)
        .into_iter()
        .find(|session| session.iter().any(|other| other.id == act.id))
        .unwrap();
    let signed_in: BTreeSet<_> = session.iter().filter_map(|act| act.user_id.as_deref()).collect();
    let signed_in: Vec<_> = signed_in.into_iter().collect();
    match signed_in[..] {
        [user] if users.contains(&user) => PersonKey::User(user.to_owned()),
        _ => PersonKey::Visitor(visitor.to_owned()),
    }
}

fn sessions<'a>(acts: &[&'a Act]) -> Vec<Vec<&'a Act>> {
    let mut sessions: Vec<Vec<&Act>> = Vec::new();
    for act in acts {
        match sessions.last_mut() {
            Some(open) if micros(act) - micros(open[open.len() - 1]) <= GAP => open.push(act),
            _ => sessions.push(vec![act]),
        }
    }
    sessions
}

/// Contents and days with any of these.
fn marks(acts: &[&Act], verbs: &[Verb]) -> i64 {
    let marked = acts.iter().filter(|act| verbs.contains(&act.verb));
    marked
        .map(|act| (act.day, &act.content.as_ref().unwrap().id))
        .collect::<BTreeSet<_>>()
        .len() as i64
}

/// The greatest of each content, session and day.
fn engaged(sessions: &[Vec<&Act>]) -> i64 {
    let mut greatest = BTreeMap::new();
    for (number, session) in sessions.iter().enumerate() {
        for act in session {
            if matches!(
                act.verb,
                Verb::Viewed | Verb::Read | Verb::Completed | Verb::Engaged
            ) {
                let Some(what) = act
                    .content
                    .as_ref()
                    .map(|content| &content.id)
                    .or(act.arrival.landing_path.as_ref())
                else {
                    continue;
                };
                let known = greatest.entry((number, act.day, what)).or_insert(0);
                *known = act.engaged_seconds.max(*known);
            }
        }
    }
    greatest.values().map(|seconds| i64::from(*seconds)).sum()
}

/// What was read of a topic: each content and day by the best that was done with it, halved every 30 days.
fn weight(acts: &[&Act], topic: &str, on: Day) -> f64 {
    let mut days = BTreeMap::<(Day, &str), Vec<&Act>>::new();
    for act in acts {
        if matches!(
            act.verb,
            Verb::Viewed | Verb::Read | Verb::Completed | Verb::Engaged
        ) {
            let Some(content) = &act.content else { continue };
            days.entry((act.day, &content.id)).or_default().push(act);
        }
    }
    let weights = days.into_iter().filter_map(|((day, _), acts)| {
        let about = acts.iter().rev().find(|act| {
            let content = act.content.as_ref().unwrap();
            content.author.is_some() || !content.topics.is_empty()
        })?;
        let has = |verb: Verb| acts.iter().any(|act| act.verb == verb);
        let weight = match () {
            () if has(Verb::Completed) => 5.0,
            () if has(Verb::Read) => 3.0,
            () if has(Verb::Viewed) => 1.0,
            () => 0.0,
        };
        let is_about = about
            .content
            .as_ref()
            .unwrap()
            .topics
            .iter()
            .any(|known| known == topic);
        is_about.then(|| weight * f64::exp2(-f64::from(on.0 - day.0) / 30.0))
    });
    weights.sum()
}

fn changes(days: &DaySet, until: Day) -> Vec<Transition> {
    let Some(first) = days.first() else {
        return Vec::new();
    };
    (first.0..=until.0)
        .map(Day)
        .filter_map(|day| {
            let (from, to) = (stage_on(days, day.plus(-1)), stage_on(days, day)?);
            (from != Some(to)).then_some(Transition { day, from, to })
        })
        .collect()
}

fn transitions_of(shelf: &Shelf, person: Uuid) -> Vec<Transition> {
    let of_person = shelf
        .transitions
        .range((person, Day(i32::MIN))..=(person, Day(i32::MAX)));
    of_person.map(|(_, transition)| *transition).collect()
}

fn count_in(all: &mut BTreeMap<Day, Figures>, days: &DaySet, acts: &[&Act], sessions: &[Vec<&Act>]) {
    let (first, last) = (days.first().unwrap(), days.last().unwrap());
    for day in (first.0..=last.0 + 27).map(Day) {
        let within =
            |window: i32| (0..window).any(|back| days.iter().any(|active| active == day.plus(-back)));
        if !within(28) {
            continue;
        }
        let figures = all.entry(day).or_default();
        figures.people_28d += 1;
        figures.people_7d += i64::from(within(7));
        figures.people += i64::from(within(1));
        figures.new_people += i64::from(day == first);
        figures.events += acts.iter().filter(|act| act.day == day).count() as i64;
        figures.sessions += sessions.iter().filter(|session| session[0].day == day).count() as i64;
    }
}
