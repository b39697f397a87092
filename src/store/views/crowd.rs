//! Figures of many people together: what has changed is added to what is there.

use deadpool_postgres::Transaction;
use jiff::civil::Date;
use tokio_postgres::Error;

use super::rows::{AUTHOR_DAY, CHANNEL_DAY, CONTENT_DAY, DAILY_ACTIVE, TOPIC_DAY};
use super::table::{Table, column};
use crate::views::step::{Changes, Figures, Group};

type Figure = fn(&Figures) -> i64;

const PEOPLE: Figure = |figures| figures.people;
const VIEWS: Figure = |figures| figures.views;
const READS: Figure = |figures| figures.reads;
const COMPLETED: Figure = |figures| figures.completed_reads;
const ENGAGED: Figure = |figures| figures.engaged_seconds;
const WEIGHT: Figure = |figures| figures.weight;
const SESSIONS: Figure = |figures| figures.sessions;
const EVENTS: Figure = |figures| figures.events;

/// The figures of one kind of group, in the order of the table's columns.
struct Kind {
    table: &'static Table,
    name: fn(&Group) -> Option<&str>,
    figures: &'static [Figure],
}

const KINDS: [Kind; 4] = [
    Kind {
        table: &CONTENT_DAY,
        name: |group| match group {
            Group::Content(id) => Some(id),
            _ => None,
        },
        figures: &[PEOPLE, VIEWS, READS, COMPLETED, ENGAGED],
    },
    Kind {
        table: &AUTHOR_DAY,
        name: |group| match group {
            Group::Author(name) => Some(name),
            _ => None,
        },
        figures: &[PEOPLE, VIEWS, READS, COMPLETED, ENGAGED, WEIGHT],
    },
    Kind {
        table: &TOPIC_DAY,
        name: |group| match group {
            Group::Topic(name) => Some(name),
            _ => None,
        },
        figures: &[PEOPLE, VIEWS, READS, COMPLETED, ENGAGED, WEIGHT],
    },
    Kind {
        table: &CHANNEL_DAY,
        name: |group| match group {
            Group::Channel(name) => Some(name),
            _ => None,
        },
        figures: &[SESSIONS, EVENTS, READS, ENGAGED],
    },
];

/// Those of everybody.
const ALL: [Figure; 9] = [
    PEOPLE,
    |figures| figures.new_people,
    |figures| figures.people_7d,
    |figures| figures.people_28d,
    SESSIONS,
    EVENTS,
    READS,
    COMPLETED,
    ENGAGED,
];

/// Adds, and deletes rows of which nothing is left. Says how many rows were written.
pub(super) async fn write(transaction: &Transaction<'_>, changes: &Changes) -> Result<u64, Error> {
    let mut written = 0;
    for kind in &KINDS {
        written += write_kind(transaction, changes, kind).await?;
    }
    let all: Vec<(Date, Figures)> = changes
        .crowd
        .0
        .iter()
        .filter(|((group, _), _)| *group == Group::All)
        .map(|((_, day), figures)| (day.date(), *figures))
        .collect();
    let mut values = vec![column(&all, |(day, _)| *day)];
    values.extend(ALL.iter().map(|figure| column(&all, |(_, all)| figure(all))));
    written += DAILY_ACTIVE.add(transaction, &values).await?;
    DAILY_ACTIVE
        .delete(transaction, &values, "people_28d = 0")
        .await?;
    Ok(written)
}

async fn write_kind(transaction: &Transaction<'_>, changes: &Changes, kind: &Kind) -> Result<u64, Error> {
    let rows: Vec<(&str, Date, Figures)> = changes
        .crowd
        .0
        .iter()
        .filter_map(|((group, day), figures)| Some(((kind.name)(group)?, day.date(), *figures)))
        .collect();
    let mut values = vec![
        column(&rows, |(name, _, _)| (*name).to_owned()),
        column(&rows, |(_, day, _)| *day),
    ];
    values.extend(
        kind.figures
            .iter()
            .map(|figure| column(&rows, |(_, _, all)| figure(all))),
    );
    let written = kind.table.add(transaction, &values).await?;
    // The first figure is zero only where all are.
    let nothing = format!(
        "{}.{} = 0",
        kind.table.name, kind.table.columns[kind.table.keys].0
    );
    kind.table.delete(transaction, &values, &nothing).await?;
    Ok(written)
}
