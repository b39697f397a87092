#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::event::wire::VERSION;
use crate::event::{Event, EventKind, Origin, RawJson};

const USERS: [&str; 3] = ["ada", "ben", "cleo"];

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
}

fn event(kind: EventKind, user: Option<&str>, visitor: Option<&str>) -> Event<'static> {
    let own = |id: &str| id.to_owned().into();
    Event {
        v: VERSION,
        event_id: Uuid::new_v4(),
        kind,
        received_at: at(0),
        accepted_at: at(0),
        occurred_at: at(0),
        original_timestamp: None,
        sent_at: None,
        event: None,
        name: None,
        user_id: user.map(own),
        anonymous_id: visitor.map(own),
        group_id: None,
        previous_id: None,
        message_id: None,
        source: "server".into(),
        trusted: true,
        is_bot: false,
        origin: Origin::Live,
        properties: None,
        traits: None,
        context: None,
    }
}

fn said(event: &Event<'_>) -> Vec<(String, String, Evidence)> {
    facts(event)
        .into_iter()
        .map(|fact| {
            (
                fact.anonymous_id.into_owned(),
                fact.user_id.to_owned(),
                fact.evidence,
            )
        })
        .collect()
}

#[test]
fn only_both_ids_say_something() {
    use EventKind::{Identify, Track};
    let edge = |evidence| vec![("v".to_owned(), "ada".to_owned(), evidence)];
    for (kind, user, visitor, expected) in [
        (Identify, Some("ada"), Some("v"), edge(Evidence::Identify)),
        (Track, Some("ada"), Some("v"), edge(Evidence::Event)),
        (Identify, Some("ada"), None, vec![]),
        (Identify, None, Some("v"), vec![]),
        (Identify, Some("null"), Some("v"), vec![]),
        (Identify, Some("ada"), Some(" Undefined "), vec![]),
        (Track, Some("ada"), Some("request-0b54c1f6"), vec![]),
    ] {
        assert_eq!(
            said(&event(kind, user, visitor)),
            expected,
            "{kind} {user:?} {visitor:?}"
        );
    }
}

#[test]
fn an_alias_speaks_of_its_previous_id_and_nothing_else_does() {
    let mut alias = event(EventKind::Alias, Some("ada"), Some("v"));
    alias.previous_id = Some("before".into());
    let own = |visitor: &str, evidence| (visitor.to_owned(), "ada".to_owned(), evidence);
    assert_eq!(
        said(&alias),
        [own("before", Evidence::Alias), own("v", Evidence::Event)]
    );
    alias.previous_id = Some("ada".into());
    assert_eq!(said(&alias), [own("v", Evidence::Event)]);
    let mut track = event(EventKind::Track, Some("ada"), None);
    track.previous_id = Some("before".into());
    assert_eq!(said(&track), []);
}

#[test]
fn the_verified_cookie_beside_an_id_of_the_site_speaks_too() {
    fn context(text: &str) -> Option<RawJson<'_>> {
        Some(serde_json::from_str(text).unwrap())
    }
    let mut identify = event(EventKind::Identify, Some("ada"), Some("v"));
    let own = |visitor: &str| (visitor.to_owned(), "ada".to_owned(), Evidence::Identify);
    identify.context = context(r#"{"userprint_state":"returned","userprint":"print"}"#);
    assert_eq!(said(&identify), [own("v"), own("print")]);
    identify.anonymous_id = Some("print".into());
    assert_eq!(said(&identify), [own("print")]);
    for other in [
        r#"{"userprint_state":"forged"}"#,
        r#"{"userprint":"print"}"#,
        r#"{"page":{"userprint":"print","userprint_state":"returned"}}"#,
    ] {
        identify.context = context(other);
        assert_eq!(said(&identify), [own("print")], "{other}");
        identify.anonymous_id = None;
        assert_eq!(said(&identify), [], "{other}");
        identify.anonymous_id = Some("print".into());
    }
}

#[test]
fn only_a_trusted_source_is_believed() {
    let mut event = event(EventKind::Track, Some("ada"), Some("v"));
    assert_eq!(believed_user(&event), Some("ada"));
    event.trusted = false;
    assert_eq!(believed_user(&event), None);
    event.trusted = true;
    event.user_id = Some("none".into());
    assert_eq!(believed_user(&event), None);
}

#[test]
fn what_was_seen_last_is_kept_to_the_day() {
    for (moment, day) in [
        ("2026-11-24T23:59:59.999999Z", "2026-11-24"),
        ("2026-11-24T00:30:00+01:00", "2026-11-23"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31"),
    ] {
        let sighting = Sighting::new(moment.parse().unwrap(), Uuid::nil(), "s", Evidence::Event);
        assert_eq!(sighting.last_seen_on, day.parse().unwrap(), "{moment}");
    }
}

/// An event of the device: its minute, and who is signed in.
fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let visit = (0..400_i64, proptest::option::weighted(0.4, 0..USERS.len()));
    proptest::collection::vec(visit, 0..30).prop_map(|visits| {
        let visit = |(number, (minute, user)): (usize, (i64, Option<usize>))| Visit {
            occurred_at: at(minute),
            event_id: Uuid::from_u128(number as u128),
            user: user.map(|user| USERS[user].to_owned()),
        };
        visits.into_iter().enumerate().map(visit).collect()
    })
}

fn some_users() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(USERS.to_vec(), 0..=USERS.len())
}

/// What is known once all of it is.
fn links<'a>(edges: impl IntoIterator<Item = &'a str>, revoked: impl IntoIterator<Item = &'a str>) -> Links {
    let seen = |user| (user, at(0));
    Links::new(edges.into_iter().map(seen), revoked.into_iter().map(seen), at(0))
}

#[test]
fn what_is_later_than_the_moment_that_counts_is_not_known_yet() {
    let edges = [("ada", at(10)), ("ben", at(20))];
    for (minute, users) in [
        (9, vec![]),
        (10, vec!["ada"]),
        (20, vec!["ada", "ben"]),
        (30, vec!["ben"]),
    ] {
        let links = Links::new(edges, [("ada", at(30))], at(minute));
        assert_eq!(links.users().collect::<Vec<_>>(), users, "minute {minute}");
    }
}

fn assigned(links: &Links, visits: &[Visit]) -> BTreeMap<Uuid, String> {
    let mut visits = visits.to_vec();
    assign("v", links, &mut visits)
        .into_iter()
        .map(|(visit, person)| (visit.event_id, format!("{person:?}")))
        .collect()
}

/// The rule once more, in the words of the documentation: event by event, with sessions found by walking from it.
fn whose(visit: &Visit, visits: &[Visit], users: &[&str]) -> String {
    if let Some(user) = &visit.user {
        return format!("{:?}", Person::User(user));
    }
    let mut session = vec![visit];
    loop {
        let is_near = |other: &&Visit| {
            let near = |one: &&Visit| one.occurred_at.duration_since(other.occurred_at).abs() <= SESSION_GAP;
            !session.iter().any(|one| one.event_id == other.event_id) && session.iter().any(near)
        };
        let Some(next) = visits.iter().find(is_near) else {
            break;
        };
        session.push(next);
    }
    let mut signed_in: Vec<_> = session.iter().filter_map(|one| one.user.as_deref()).collect();
    signed_in.sort_unstable();
    signed_in.dedup();
    let owner = match (users, signed_in.as_slice()) {
        ([user], _) => Some(*user),
        ([], _) => None,
        (users, [one]) if users.contains(one) => Some(*one),
        _ => None,
    };
    format!("{:?}", owner.map_or(Person::Visitor("v"), Person::User))
}

proptest! {
    #[test]
    fn each_event_is_whose_the_rule_says(visits in visits(), edges in some_users(), revoked in some_users()) {
        let links = links(edges.iter().copied(), revoked.iter().copied());
        let live: Vec<_> = edges.iter().copied().filter(|user| !revoked.contains(user)).collect();
        prop_assert_eq!(links.users().collect::<Vec<_>>(), live.clone());
        let assigned = assigned(&links, &visits);
        prop_assert_eq!(assigned.len(), visits.len());
        for visit in &visits {
            prop_assert_eq!(&assigned[&visit.event_id], &whose(visit, &visits, &live), "{:?}", visit);
        }
    }

    #[test]
    fn order_changes_nothing(visits in visits(), edges in some_users(), seed in any::<prop::sample::Index>()) {
        let links = links(edges.iter().copied(), []);
        let mut turned = visits.clone();
        turned.reverse();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
        }
        prop_assert_eq!(assigned(&links, &visits), assigned(&links, &turned));
    }

    /// Whoever is joined to a device: nobody's own event becomes another's.
    #[test]
    fn users_are_never_merged(visits in visits(), edges in some_users(), revoked in some_users()) {
        let links = links(edges, revoked);
        let assigned = assigned(&links, &visits);
        for visit in &visits {
            if let Some(user) = &visit.user {
                prop_assert_eq!(&assigned[&visit.event_id], &format!("{:?}", Person::User(user)));
            }
        }
    }

    #[test]
    fn a_revoked_pair_is_as_if_it_had_never_been_seen(visits in visits(), edges in some_users(), user in 0..USERS.len()) {
        let user = USERS[user];
        let others = edges.iter().copied().filter(|other| *other != user);
        let revoked = links(edges.iter().copied(), [user]);
        prop_assert_eq!(&revoked, &links(others, []));
        for (id, person) in assigned(&revoked, &visits) {
            let is_own = visits.iter().any(|visit| visit.event_id == id && visit.user.as_deref() == Some(user));
            let is_users = person == format!("{:?}", Person::User(user));
            prop_assert!(is_own || !is_users, "{}", id);
        }
    }

    #[test]
    fn sightings_and_sessions_join_in_any_order(
        seen in proptest::collection::vec((0..5000_i64, 0..4_u128, 0..2_usize), 1..6),
        users in proptest::collection::vec(proptest::option::of(0..USERS.len()), 1..6),
    ) {
        let kinds = [Evidence::Event, Evidence::Identify];
        let sightings: Vec<_> = seen
            .iter()
            .map(|(minute, id, kind)| Sighting::new(at(*minute), Uuid::from_u128(*id), "s", kinds[*kind]))
            .collect();
        let joined = sightings.iter().copied().reduce(Sighting::merge);
        prop_assert_eq!(sightings.iter().rev().copied().reduce(Sighting::merge), joined);
        prop_assert_eq!(sightings.iter().chain(&sightings).copied().reduce(Sighting::merge), joined);

        let signed_in: Vec<_> = users.iter().map(|user| SignedIn::from(user.map(|user| USERS[user]))).collect();
        let all = signed_in.iter().cloned().fold(SignedIn::default(), SignedIn::merge);
        let turned = signed_in.iter().rev().chain(&signed_in).cloned().fold(SignedIn::default(), SignedIn::merge);
        prop_assert_eq!(all, turned);
    }
}
