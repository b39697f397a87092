#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, HashMap, HashSet};

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;
use uuid::Uuid;

use super::*;

fn settings(seed: u64, people: u32, days: u32) -> Settings {
    Settings {
        seed,
        pace: Pace::History,
        start: "2026-08-01T00:00:00Z".parse().unwrap(),
        days,
        zone: TimeZone::UTC,
        people,
        articles: 12 * (days + 30),
        anomalies: Vec::new(),
    }
}

/// What the tests look at of an event, from its text.
#[derive(Clone)]
struct Seen {
    text: u64,
    id: Uuid,
    name: String,
    user: Option<String>,
    visitor: Option<String>,
    properties: Properties,
    is_robot: bool,
    at: Timestamp,
    due: i64,
    is_copy: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    #[serde(rename = "type")]
    kind: String,
    event: Option<String>,
    message_id: Uuid,
    user_id: Option<String>,
    anonymous_id: Option<String>,
    timestamp: Timestamp,
    #[serde(default)]
    properties: Properties,
    context: Context,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Properties {
    content_id: String,
    topics: Vec<String>,
    engaged_seconds: u64,
    revenue: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    user_agent: String,
}

fn all(settings: &Settings) -> (Vec<Seen>, Truth) {
    let mut stream = Stream::new(settings.clone());
    let mut seen = Vec::new();
    let mut text = String::new();
    while let Some(due) = stream.due() {
        text.clear();
        let Sent { is_copy } = stream.write_next(&mut text).unwrap();
        let event: Text = serde_json::from_str(&text).unwrap();
        let robots = ["bot", "facebookexternalhit", "Headless"];
        seen.push(Seen {
            text: BuildHasherDefault::<DefaultHasher>::default().hash_one(&text),
            id: event.message_id,
            name: event.event.unwrap_or(event.kind),
            user: event.user_id,
            visitor: event.anonymous_id,
            properties: event.properties,
            is_robot: robots.iter().any(|mark| event.context.user_agent.contains(mark)),
            at: event.timestamp,
            due,
            is_copy,
        });
    }
    (seen, stream.truth())
}

/// Each event once, as a store has them.
fn stored(seen: &[Seen]) -> Vec<&Seen> {
    let mut ids = HashSet::new();
    seen.iter().filter(|seen| ids.insert(seen.id)).collect()
}

/// Whose an event is: the user whom any event with the same anonymous id names.
fn by_person<'a>(stored: &[&'a Seen]) -> BTreeMap<&'a str, Vec<&'a Seen>> {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for seen in stored {
        if let (Some(visitor), Some(user)) = (&seen.visitor, &seen.user) {
            let known = owners.insert(visitor, user);
            assert!(known.is_none_or(|known| known == user), "nobody shares a device");
        }
    }
    let mut people: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for seen in stored {
        let visitor = seen.visitor.as_deref();
        let owner = visitor.and_then(|visitor| owners.get(visitor).copied());
        let person = seen.user.as_deref().or(owner).or(visitor).unwrap();
        people.entry(person).or_default().push(seen);
    }
    people
}

/// Under which [`by_person`] has somebody.
fn id_of(person: &truth::PersonTruth) -> &str {
    person
        .user_id
        .as_ref()
        .unwrap_or_else(|| &person.anonymous_ids[0])
}

/// The truth, counted from the text alone.
fn check(settings: &Settings) -> Result<(), TestCaseError> {
    let (seen, truth) = all(settings);
    let stored = stored(&seen);
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    let mut robots: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &stored {
        *by_name.entry(&event.name).or_default() += 1;
        if event.is_robot {
            *robots.entry(&event.name).or_default() += 1;
        }
    }
    prop_assert_eq!(&truth.events.by_name, &by_name);
    prop_assert_eq!(&truth.events.bots_by_name, &robots);
    prop_assert_eq!(truth.events.total, stored.len() as u64);
    prop_assert_eq!(truth.events.bots, robots.values().sum::<u64>());
    prop_assert_eq!(truth.events.duplicates, (seen.len() - stored.len()) as u64);
    let late = stored
        .iter()
        .filter(|seen| seen.due > seen.at.as_millisecond())
        .count();
    prop_assert_eq!(truth.events.late, late as u64);

    let people = by_person(&stored);
    prop_assert_eq!(truth.people.len(), people.len());
    prop_assert_eq!(truth.people_by_kind.values().sum::<u32>() as usize, people.len());
    for person in &truth.people {
        let id = id_of(person);
        check_person(person, &people[id])?;
    }
    Ok(())
}

fn check_person(person: &truth::PersonTruth, events: &[&Seen]) -> Result<(), TestCaseError> {
    let count = |name: &str| events.iter().filter(|seen| seen.name == name).count() as u32;
    let users: HashSet<_> = events.iter().filter_map(|seen| seen.user.clone()).collect();
    let visitors: HashSet<_> = events.iter().filter_map(|seen| seen.visitor.clone()).collect();
    prop_assert_eq!(person.events, events.len() as u32);
    prop_assert_eq!(users, person.user_id.iter().cloned().collect());
    prop_assert_eq!(visitors, person.anonymous_ids.iter().cloned().collect());
    prop_assert_eq!(
        person.first_seen_at,
        events.iter().map(|seen| seen.at).min().unwrap()
    );
    prop_assert_eq!(
        person.last_seen_at,
        events.iter().map(|seen| seen.at).max().unwrap()
    );
    prop_assert_eq!(person.views, count("Article Viewed"));
    prop_assert_eq!(person.completed_reads, count("Article Completed"));
    prop_assert_eq!(person.completed_videos, count("Video Content Completed"));
    prop_assert_eq!(person.published, count("Article Published"));
    prop_assert_eq!(person.orders, count("Order Completed"));
    let revenue: f64 = events.iter().map(|seen| seen.properties.revenue).sum();
    prop_assert!(
        (person.revenue - revenue).abs() < 0.001,
        "{} {}",
        person.revenue,
        revenue
    );
    prop_assert_eq!(
        (u64::from(person.engaged_seconds), person.reads),
        engagement(events)
    );
    Ok(())
}

/// The greatest engaged time of each page view, added up, and how many of the views were read: in order, a view goes on
/// to the device's next page event.
fn engagement(events: &[&Seen]) -> (u64, u32) {
    let mut ordered = events.to_vec();
    ordered.sort_by_key(|seen| (seen.at, seen.id));
    let mut pages = HashMap::new();
    let mut views: HashMap<_, (u64, bool)> = HashMap::new();
    for seen in ordered {
        let device = seen.visitor.as_deref();
        match seen.name.as_str() {
            "page" => {
                pages.insert(device, seen.id);
            }
            name @ ("Article Read" | "Page Engaged") => {
                // Where an outage took the page event, the content tells that the view is another one.
                let content = seen.properties.content_id.as_str();
                let (seconds, is_read) = views
                    .entry((device, pages.get(&device).copied(), content))
                    .or_default();
                *seconds = (*seconds).max(seen.properties.engaged_seconds);
                *is_read |= name == "Article Read";
            }
            _ => {}
        }
    }
    let engaged = views.values().map(|(seconds, _)| seconds).sum();
    (
        engaged,
        views.values().filter(|(_, is_read)| *is_read).count() as u32,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_truth_is_what_the_stream_comes_to_after_dedupe(
        seed in any::<u64>(),
        people in 1u32..60,
        days in 1u32..40,
        articles in 1u32..400,
        anomalies in proptest::sample::subsequence(vec![Anomaly::Outage, Anomaly::Spike, Anomaly::BotWave], 0..=3),
        zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kolkata"]),
        is_live in any::<bool>(),
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let start: Timestamp = "2026-10-20T00:00:00Z".parse().unwrap();
        let start = start.to_zoned(zone.clone()).start_of_day().unwrap().timestamp();
        let pace = if is_live { Pace::Live { events_per_second: 0.02 } } else { Pace::History };
        let start = if is_live { start + SignedDuration::from_mins(600) } else { start };
        check(&Settings { pace, start, zone, anomalies, articles, ..settings(seed, people, days) })?;
    }
}

#[test]
fn one_seed_makes_the_same_text_and_another_shares_no_id() {
    let text = |settings: &Settings| {
        all(settings)
            .0
            .into_iter()
            .map(|seen| seen.text)
            .collect::<Vec<_>>()
    };
    let first = text(&settings(7, 40, 20));
    assert!(first.len() > 1_000, "{}", first.len());
    assert_eq!(first, text(&settings(7, 40, 20)));

    let ids = |settings: &Settings| -> HashSet<String> {
        let of = |seen: Seen| [Some(seen.id.to_string()), seen.user, seen.visitor];
        all(settings).0.into_iter().flat_map(of).flatten().collect()
    };
    let mut known = ids(&settings(7, 40, 20));
    for other in [settings(8, 40, 20), settings(7, 41, 20), settings(7, 40, 21)] {
        let others = ids(&other);
        assert!(known.is_disjoint(&others));
        known.extend(others);
    }
}

#[test]
fn ids_lie_in_the_range_of_their_world() {
    let settings = settings(3, 20, 5);
    let (first, last) = Stream::new(settings.clone()).ids();
    for Seen { id, .. } in all(&settings).0 {
        assert!((first..=last).contains(&id) && id.get_version_num() == 8, "{id}");
    }
}

#[test]
fn events_come_as_they_are_due_and_copies_after_what_they_repeat() {
    let (seen, truth) = all(&settings(1, 150, 40));
    assert!(truth.events.late > 0 && truth.events.duplicates > 0);
    assert!(seen.is_sorted_by_key(|seen| seen.due));
    let mut texts = HashMap::new();
    for event in &seen {
        let before = texts.insert(event.id, event.text);
        assert_eq!(before.is_some(), event.is_copy);
        assert!(
            before.is_none_or(|before| before == event.text),
            "a copy says the same"
        );
    }
    // What is told late is told within two days, so that nothing waits for the end.
    let waits = |seen: &Seen| seen.due - seen.at.as_millisecond();
    assert!(seen.iter().map(waits).max().unwrap() < 48 * 3_600_000);
    assert!(seen.iter().map(waits).min().unwrap() >= 0);
}

#[test]
fn about_as_many_events_as_the_number_of_people_says() {
    for (seed, people, days) in [(1, 500, 60), (2, 1_000, 20)] {
        let mut stream = Stream::new(settings(seed, people, days));
        let mut text = String::new();
        while stream.write_next(&mut text).is_some() {
            text.clear();
        }
        let expected = EVENTS_PER_PERSON_DAY * f64::from(people) * f64::from(days);
        let share = stream.truth().events.total as f64 / expected;
        assert!(
            (0.85..1.2).contains(&share),
            "{people} people, {days} days: {share}"
        );
    }
}

#[test]
fn a_live_world_makes_about_as_many_events_as_asked_for_at_any_hour() {
    // With people enough, and with so few that they have to come ten times as often.
    for people in [15_000, 1_500] {
        let mut live = settings(1, people, LIVE_DAYS);
        live.pace = Pace::Live {
            events_per_second: 0.5,
        };
        live.start = "2026-11-24T03:00:00Z".parse().unwrap();
        let mut stream = Stream::new(live.clone());
        let mut hours = [0; 24];
        let mut text = String::new();
        while let Some(due) = stream.due() {
            let hour = (due - live.start.as_millisecond()) / 3_600_000;
            let Some(count) = hours.get_mut(hour as usize) else {
                break;
            };
            *count += 1;
            text.clear();
            stream.write_next(&mut text);
        }
        let rates: Vec<_> = hours.iter().map(|events| f64::from(*events) / 3_600.0).collect();
        let mean = rates.iter().sum::<f64>() / 24.0;
        assert!((0.38..0.62).contains(&mean), "{people}: {mean} of {rates:?}");
        assert!(
            rates.iter().all(|rate| (0.25..0.8).contains(rate)),
            "{people}: {rates:?}"
        );
    }
}

/// What is counted most often.
fn mode<T: Ord + Clone>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, u32> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(value, _)| value)
}

#[test]
fn planted_habits_are_found_in_what_people_read() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let start = "2026-07-31T22:00:00Z".parse().unwrap();
    let (seen, truth) = all(&Settings {
        zone: zone.clone(),
        start,
        ..settings(5, 250, 90)
    });
    let stored = stored(&seen);
    let people = by_person(&stored);
    let (mut readers, mut hours, mut topics) = (0, 0, 0);
    for person in truth.people.iter().filter(|person| person.reads >= 20) {
        let Some(habit) = &person.habit else { continue };
        let id = id_of(person);
        let read: Vec<_> = people[id]
            .iter()
            .filter(|seen| seen.name == "Article Viewed")
            .collect();
        let hour = mode(read.iter().map(|seen| seen.at.to_zoned(zone.clone()).hour()));
        let topic = mode(read.iter().map(|seen| seen.properties.topics[0].clone()));
        readers += 1;
        hours += u32::from(hour == Some(habit.preferred_hour.cast_signed()));
        topics += u32::from(topic.as_deref() == Some(habit.topics[0]));
    }
    assert!(readers > 80, "{readers}");
    for (what, found) in [("hour", hours), ("topic", topics)] {
        let share = f64::from(found) / f64::from(readers);
        assert!(share >= 0.95, "{what}: {share} of {readers}");
    }
}

#[test]
fn churners_stop_resurrected_come_back_and_lurkers_are_never_known() {
    let (seen, truth) = all(&settings(2, 300, 90));
    let stored = stored(&seen);
    let people = by_person(&stored);
    let mut kinds: BTreeMap<Kind, u32> = BTreeMap::new();
    for person in &truth.people {
        *kinds.entry(person.kind).or_default() += 1;
        let id = id_of(person);
        let dates: Vec<_> = people[id]
            .iter()
            .map(|seen| seen.at.to_zoned(TimeZone::UTC).date())
            .collect();
        let habit = person.habit.as_ref();
        if let Some(churned_on) = habit.and_then(|habit| habit.churned_on) {
            // Who comes shortly before midnight may stay beyond it.
            assert!(dates.iter().all(|date| *date <= churned_on), "{id}");
        }
        if let Some((from, to)) = habit.and_then(|habit| habit.away) {
            assert!((35..=60).contains(&(to - from).get_days()), "{from} {to}");
            assert!(!dates.iter().any(|date| *date > from && *date < to), "{id}");
        }
        match person.kind {
            Kind::Lurker => assert_eq!(person.user_id, None),
            Kind::Bot | Kind::PasserBy => assert!(person.user_id.is_none() && person.habit.is_none()),
            Kind::Buyer => {}
            _ => assert_eq!(person.orders, 0),
        }
    }
    for kind in Kind::REGULAR {
        assert!(kinds.contains_key(&kind), "{kind:?}");
    }
    assert!(kinds.contains_key(&Kind::Bot) && !kinds.contains_key(&Kind::PasserBy));
    let revenue: f64 = truth.people.iter().map(|person| person.revenue).sum();
    assert!(revenue > 500.0, "{revenue}");
    let signed_up = truth
        .people
        .iter()
        .filter(|person| person.signed_up_at.is_some())
        .count() as u64;
    assert_eq!(truth.events.by_name["Signed Up"], signed_up);
}

#[test]
fn anomalies_are_where_the_truth_says() {
    let plain = all(&settings(4, 500, 30));
    let anomalies = vec![Anomaly::Outage, Anomaly::Spike, Anomaly::BotWave];
    let (seen, truth) = all(&Settings {
        anomalies,
        ..settings(4, 500, 30)
    });
    let within = |seen: &[Seen], anomaly: &truth::AnomalyTruth| {
        let inside = seen
            .iter()
            .filter(|seen| !seen.is_copy && anomaly.from <= seen.at && seen.at < anomaly.to);
        let (robots, people): (Vec<_>, Vec<_>) = inside.partition(|seen| seen.is_robot);
        (people.len(), robots.len())
    };
    for anomaly in &truth.anomalies {
        let (people, robots) = within(&seen, anomaly);
        let (usual, _) = within(&plain.0, anomaly);
        match anomaly.kind {
            Anomaly::Outage => assert!(
                people == 0 && robots == 0 && usual > 100,
                "{people} {robots} {usual}"
            ),
            Anomaly::Spike => assert!(people > 3 * usual && usual > 20, "{people} {usual}"),
            Anomaly::BotWave => assert!(robots > 500, "{robots}"),
        }
    }
    assert_eq!(truth.anomalies.len(), 3);
}
