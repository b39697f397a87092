//! Writes what a step has changed, in the transaction that moves the marks.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::rows::{
    AUTHOR_AFFINITY, AUTHOR_DAY, CHANNEL_DAY, CONTENT_DAY, DAILY_ACTIVE, LINKS, PEOPLE, PERSON_DAYS,
    SESSIONS, STREAM_DAYS, TOPIC_AFFINITY, TOPIC_DAY, TRANSITIONS, USER_VIEWS,
};
use super::table::{Table, Values, column};
use crate::views::step::{Changes, DayRow, Figures, Group, PersonChange};
use crate::views::{Affinity, Day, PersonKey, UserView, Zone, timestamp};

/// A row of `view_run`.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// `run` or `rebuild`.
    pub kind: &'a str,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub as_of: Day,
    pub definition_version: i32,
    pub shares_of: Option<Day>,
    pub rows_read: i64,
    pub people_touched: i64,
    pub rows_changed: i64,
    pub unknown_events: &'a BTreeSet<String>,
}

/// Notes a run.
pub async fn note_run(transaction: &Transaction<'_>, run: &Run<'_>) -> Result<(), Error> {
    let names: Vec<_> = run.unknown_events.iter().collect();
    let parameters: [&(dyn ToSql + Sync); 10] = [
        &run.kind,
        &run.started_at,
        &run.finished_at,
        &run.as_of.date(),
        &run.definition_version,
        &run.shares_of.map(Day::date),
        &run.rows_read,
        &run.people_touched,
        &run.rows_changed,
        &names,
    ];
    transaction
        .execute(include_str!("../sql/views/note_run.sql"), &parameters)
        .await?;
    Ok(())
}

/// Writes changes, and says how many rows of the tables that people read have changed.
pub async fn write(
    transaction: &Transaction<'_>,
    changes: &Changes,
    today: Day,
    zone: &Zone,
    now: Timestamp,
) -> Result<u64, Error> {
    write_states(transaction, changes, today).await?;
    let mut rows = write_views(transaction, changes, zone, now).await?;
    rows += write_days(transaction, changes).await?;
    rows += write_sessions(transaction, changes).await?;
    rows += write_transitions(transaction, changes).await?;
    rows += write_crowd(transaction, changes).await?;
    rows += write_items(transaction, changes).await?;
    Ok(rows)
}

async fn write_states(transaction: &Transaction<'_>, changes: &Changes, today: Day) -> Result<(), Error> {
    let streams = &changes.streams;
    STREAM_DAYS
        .replace(
            transaction,
            &[
                column(streams, |((stream, _), _)| stream.anonymous_id.clone()),
                column(streams, |((stream, _), _)| stream.user_id.clone()),
                column(streams, |((_, day), _)| day.date()),
                column(streams, |(_, fragments)| fragments.to_bytes()),
            ],
        )
        .await?;
    let links = &changes.links;
    LINKS
        .replace(
            transaction,
            &[
                column(links, |link| link.anonymous_id.clone()),
                column(links, |link| link.user_id.clone()),
                column(links, |link| link.is_revoked),
            ],
        )
        .await?;
    let (kept, gone): (Vec<_>, Vec<_>) = changes.people.iter().partition(|person| person.state.is_some());
    PEOPLE
        .replace(
            transaction,
            &[
                column(&kept, |person| person.key.person_id()),
                column(&kept, |person| person.key.user_id().is_some()),
                column(&kept, |person| match &person.key {
                    PersonKey::User(id) | PersonKey::Visitor(id) => id.clone(),
                }),
                column(&kept, |person| {
                    person.state.as_ref().map(|state| state.to_bytes())
                }),
                column(&kept, |_| today.date()),
                column(&kept, |person| next_change(person, today).map(Day::date)),
            ],
        )
        .await?;
    PEOPLE
        .delete(
            transaction,
            &[column(&gone, |person| person.key.person_id())],
            "true",
        )
        .await?;
    Ok(())
}

/// Somebody whose first day is still to come is looked at again then.
fn next_change(person: &PersonChange, today: Day) -> Option<Day> {
    match &person.view {
        Some(view) => view.next_change,
        None => person
            .state
            .as_ref()
            .and_then(|state| state.days.first())
            .map(|first| first.max(today.plus(1))),
    }
}

async fn write_views(
    transaction: &Transaction<'_>,
    changes: &Changes,
    zone: &Zone,
    now: Timestamp,
) -> Result<u64, Error> {
    let views: Vec<_> = changes
        .people
        .iter()
        .filter_map(|person| person.view.as_ref())
        .collect();
    let gone: Vec<_> = changes
        .people
        .iter()
        .filter(|person| person.view.is_none())
        .collect();
    let gone = [column(&gone, |person| person.key.person_id())];
    let mut rows = USER_VIEWS.delete(transaction, &gone, "true").await?;
    rows += USER_VIEWS
        .replace_at(transaction, &user_views(&views, zone), now)
        .await?;
    let ids: Vec<_> = changes
        .people
        .iter()
        .map(|person| person.key.person_id())
        .collect();
    type Liked = fn(&UserView) -> &[Affinity];
    let liked: [(&Table, &str, Liked); 2] = [
        (&TOPIC_AFFINITY, "topic", |view| &view.topics),
        (&AUTHOR_AFFINITY, "author", |view| &view.authors),
    ];
    for (table, name, of) in liked {
        let pairs: Vec<(Uuid, &Affinity)> = views
            .iter()
            .flat_map(|view| of(view).iter().map(|affinity| (view.person_id, affinity)))
            .collect();
        let values: [Values; 5] = [
            column(&pairs, |(person, _)| *person),
            column(&pairs, |(_, affinity)| affinity.name.clone()),
            column(&pairs, |(_, affinity)| affinity.score),
            column(&pairs, |(_, affinity)| affinity.share),
            column(&pairs, |(_, affinity)| affinity.lift),
        ];
        rows += table.replace(transaction, &values).await?;
        let statement = format!(
            "DELETE FROM {0} WHERE person_id = ANY ($1) AND NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::text[]) \
             AS t (person_id, name) WHERE t.person_id = {0}.person_id AND t.name = {0}.{name})",
            table.name
        );
        let persons: Vec<_> = pairs.iter().map(|(person, _)| *person).collect();
        let names: Vec<_> = pairs.iter().map(|(_, affinity)| affinity.name.as_str()).collect();
        rows += transaction.execute(&statement, &[&ids, &persons, &names]).await?;
    }
    Ok(rows)
}

fn user_views(views: &[&UserView], zone: &Zone) -> Vec<Values> {
    let first = |view: &&UserView| {
        view.state
            .first
            .as_ref()
            .map(|first| first.arrival.clone())
            .unwrap_or_default()
    };
    let favourite = |view: &&UserView, place: usize| view.favourite_topics.get(place).cloned();
    vec![
        column(views, |view| view.person_id),
        column(views, |view| view.user_id.clone()),
        column(views, |view| view.anonymous_ids_count),
        column(views, |view| timestamp(view.state.first_seen)),
        column(views, |view| timestamp(view.state.last_seen)),
        column(views, |view| channel(&first(view).channel)),
        column(views, |view| first(view).referrer_host),
        column(views, |view| first(view).landing_path),
        column(views, |view| {
            UserView::primary(&view.state.devices).map(str::to_owned)
        }),
        column(views, |view| {
            UserView::primary(&view.state.browsers).map(str::to_owned)
        }),
        column(views, |view| {
            UserView::primary(&view.state.languages).map(str::to_owned)
        }),
        column(views, |view| view.state.counts.events),
        column(views, |view| view.state.sessions),
        column(views, |view| view.state.days.len() as i64),
        column(views, |view| view.active_days_28d),
        column(views, |view| view.state.reads),
        column(views, |view| view.state.completed_reads),
        column(views, |view| view.completion_rate),
        column(views, |view| view.state.engaged_seconds),
        column(views, |view| {
            view.state.session_time as f64 / 1e6 / (view.state.sessions.max(1)) as f64
        }),
        column(views, |view| view.state.counts.shares),
        column(views, |view| view.state.counts.comments),
        column(views, |view| view.state.counts.likes),
        column(views, |view| view.state.counts.follows),
        column(views, |view| view.state.counts.searches),
        column(views, |view| view.state.counts.orders),
        column(views, |view| view.state.counts.revenue),
        column(views, |view| view.preferred_hour),
        column(views, |view| view.preferred_weekday),
        column(views, |view| view.is_subscriber()),
        column(views, |view| view.is_contributor()),
        column(views, |view| view.state.signed_up_at.map(timestamp)),
        column(views, |view| view.rfv_score),
        column(views, |view| view.rfv_tier),
        column(views, |view| view.stage.as_str()),
        column(views, |view| zone.start(view.stage_since)),
        column(views, |view| i64::from(view.usual_gap)),
        column(views, |view| favourite(view, 0)),
        column(views, |view| favourite(view, 1)),
        column(views, |view| favourite(view, 2)),
        column(views, |view| view.favourite_author.clone()),
        column(views, |view| view.affinity_confidence),
        column(views, |view| view.next_change.map(|day| zone.start(day))),
    ]
}

fn channel(channel: &str) -> String {
    if channel.is_empty() { "direct" } else { channel }.to_owned()
}

async fn write_days(transaction: &Transaction<'_>, changes: &Changes) -> Result<u64, Error> {
    let rows: Vec<(Uuid, Day, &DayRow)> = changes
        .days
        .iter()
        .filter_map(|(person, day, row)| Some((*person, *day, row.as_ref()?)))
        .collect();
    let gone: Vec<_> = changes.days.iter().filter(|(_, _, row)| row.is_none()).collect();
    let values: [Values; 19] = [
        column(&rows, |(person, _, _)| *person),
        column(&rows, |(_, day, _)| day.date()),
        column(&rows, |(_, _, row)| row.sessions),
        column(&rows, |(_, _, row)| row.facts.counts.events),
        column(&rows, |(_, _, row)| row.facts.counts.pages),
        column(&rows, |(_, _, row)| row.facts.reads()),
        column(&rows, |(_, _, row)| row.facts.completed_reads()),
        column(&rows, |(_, _, row)| row.facts.engaged_seconds()),
        column(&rows, |(_, _, row)| row.facts.counts.shares),
        column(&rows, |(_, _, row)| row.facts.counts.comments),
        column(&rows, |(_, _, row)| row.facts.counts.likes),
        column(&rows, |(_, _, row)| row.facts.counts.follows),
        column(&rows, |(_, _, row)| row.facts.counts.searches),
        column(&rows, |(_, _, row)| row.facts.counts.orders),
        column(&rows, |(_, _, row)| row.facts.counts.revenue),
        column(&rows, |(_, _, row)| row.facts.counts.newsletter_opens),
        column(&rows, |(_, _, row)| row.facts.counts.newsletter_clicks),
        column(&rows, |(_, _, row)| row.facts.counts.recommendations_shown),
        column(&rows, |(_, _, row)| row.facts.counts.recommendations_clicked),
    ];
    let written = PERSON_DAYS.replace(transaction, &values).await?;
    let keys = [
        column(&gone, |(person, _, _)| *person),
        column(&gone, |(_, day, _)| day.date()),
    ];
    Ok(written + PERSON_DAYS.delete(transaction, &keys, "true").await?)
}

async fn write_sessions(transaction: &Transaction<'_>, changes: &Changes) -> Result<u64, Error> {
    let gone = &changes.gone_sessions;
    let keys = [
        column(gone, |(person, _)| *person),
        column(gone, |(_, started)| timestamp(*started)),
    ];
    let deleted = SESSIONS.delete(transaction, &keys, "true").await?;
    let rows = &changes.sessions;
    let values: [Values; 14] = [
        column(rows, |(person, _)| *person),
        column(rows, |(_, session)| timestamp(session.piece.started)),
        column(rows, |(_, session)| timestamp(session.piece.ended)),
        column(rows, |(_, session)| session.day.date()),
        column(rows, |(_, session)| session.piece.events),
        column(rows, |(_, session)| session.piece.pages),
        column(rows, |(_, session)| session.piece.reads),
        column(rows, |(_, session)| session.piece.engaged_seconds),
        column(rows, |(_, session)| channel(&session.first().arrival.channel)),
        column(rows, |(_, session)| session.first().arrival.referrer_host.clone()),
        column(rows, |(_, session)| session.first().arrival.landing_path.clone()),
        column(rows, |(_, session)| session.first().arrival.device.clone()),
        column(rows, |(_, session)| session.first().arrival.browser.clone()),
        column(rows, |(_, session)| session.first().arrival.language.clone()),
    ];
    Ok(deleted + SESSIONS.replace(transaction, &values).await?)
}

async fn write_transitions(transaction: &Transaction<'_>, changes: &Changes) -> Result<u64, Error> {
    let gone = &changes.gone_transitions;
    let keys = [
        column(gone, |(person, _)| *person),
        column(gone, |(_, change)| change.day.date()),
    ];
    let deleted = TRANSITIONS.delete(transaction, &keys, "true").await?;
    let rows = &changes.transitions;
    let values: [Values; 4] = [
        column(rows, |(person, _)| *person),
        column(rows, |(_, change)| change.day.date()),
        column(rows, |(_, change)| change.from.map(|stage| stage.as_str())),
        column(rows, |(_, change)| change.to.as_str()),
    ];
    Ok(deleted + TRANSITIONS.replace(transaction, &values).await?)
}

async fn write_crowd(transaction: &Transaction<'_>, changes: &Changes) -> Result<u64, Error> {
    type Of = fn(&Group) -> Option<&str>;
    type Figure = fn(&Figures) -> i64;
    let people: Figure = |figures| figures.people;
    let views: Figure = |figures| figures.views;
    let reads: Figure = |figures| figures.reads;
    let completed: Figure = |figures| figures.completed_reads;
    let engaged: Figure = |figures| figures.engaged_seconds;
    let weight: Figure = |figures| figures.weight;
    let sessions: Figure = |figures| figures.sessions;
    let events: Figure = |figures| figures.events;
    let named: [(&Table, Of, &[Figure]); 4] = [
        (
            &CONTENT_DAY,
            |group| match group {
                Group::Content(id) => Some(id),
                _ => None,
            },
            &[people, views, reads, completed, engaged],
        ),
        (
            &AUTHOR_DAY,
            |group| match group {
                Group::Author(name) => Some(name),
                _ => None,
            },
            &[people, views, reads, completed, engaged, weight],
        ),
        (
            &TOPIC_DAY,
            |group| match group {
                Group::Topic(name) => Some(name),
                _ => None,
            },
            &[people, views, reads, completed, engaged, weight],
        ),
        (
            &CHANNEL_DAY,
            |group| match group {
                Group::Channel(name) => Some(name),
                _ => None,
            },
            &[sessions, events, reads, engaged],
        ),
    ];
    let mut written = 0;
    for (table, of, figures) in named {
        let rows: Vec<(&str, Date, Figures)> = changes
            .crowd
            .0
            .iter()
            .filter_map(|((group, day), figures)| Some((of(group)?, day.date(), *figures)))
            .collect();
        let mut values = vec![
            column(&rows, |(name, _, _)| (*name).to_owned()),
            column(&rows, |(_, day, _)| *day),
        ];
        values.extend(
            figures
                .iter()
                .map(|figure| column(&rows, |(_, _, all)| figure(all))),
        );
        written += table.add(transaction, &values).await?;
        // The first figure is zero only where all are.
        let nothing = format!("{}.{} = 0", table.name, table.columns[table.keys].0);
        table.delete(transaction, &values, &nothing).await?;
    }
    let all: Vec<(Date, Figures)> = changes
        .crowd
        .0
        .iter()
        .filter(|((group, _), _)| *group == Group::All)
        .map(|((_, day), figures)| (day.date(), *figures))
        .collect();
    let mut values = vec![column(&all, |(day, _)| *day)];
    let figures: [Figure; 9] = [
        people,
        |figures| figures.new_people,
        |figures| figures.people_7d,
        |figures| figures.people_28d,
        sessions,
        events,
        reads,
        completed,
        engaged,
    ];
    values.extend(figures.iter().map(|figure| column(&all, |(_, all)| figure(all))));
    written += DAILY_ACTIVE.add(transaction, &values).await?;
    DAILY_ACTIVE
        .delete(transaction, &values, "people_28d = 0")
        .await?;
    Ok(written)
}

async fn write_items(transaction: &Transaction<'_>, changes: &Changes) -> Result<u64, Error> {
    let items = super::items::collect(&changes.items);
    if items.is_empty() {
        return Ok(0);
    }
    let statement = transaction
        .prepare_cached(include_str!("../sql/views/add_items.sql"))
        .await?;
    let values = super::items::values(&items);
    let parameters: Vec<_> = values
        .iter()
        .map(|values| values.as_ref() as &(dyn ToSql + Sync))
        .collect();
    transaction.execute(&statement, &parameters).await
}
