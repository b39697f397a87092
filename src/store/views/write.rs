//! Writes what a step has changed, in the transaction that moves the marks.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::rows::{LINKS, PEOPLE, PERSON_DAYS, SESSIONS, STREAM_DAYS, TRANSITIONS};
use super::table::{Values, column};
use super::{crowd, people};
use crate::views::step::{Changes, DayRow, PersonChange};
use crate::views::{Day, PersonKey, Zone, timestamp};

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
    let mut rows = people::write(transaction, changes, zone, now).await?;
    rows += write_days(transaction, changes).await?;
    rows += write_sessions(transaction, changes).await?;
    rows += write_transitions(transaction, changes).await?;
    rows += crowd::write(transaction, changes).await?;
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

/// How a session began, in words.
pub(super) fn channel(channel: &str) -> String {
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
        column(&rows, |(_, _, row)| row.facts.engaged_seconds),
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
