//! Keeps out of the store what comes of visitors after they asked to be forgotten.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use uuid::Uuid;

use crate::event::{Event, forgotten, userprint, without_ids};
use crate::identity::believed_user;
use crate::store::batch::{Batch, DeadLetter, Row};

/// How many entries are read at once.
const PAGE: i64 = 10_000;

/// What a worker knows of the list: a hash of each id, so that a long list takes little memory and most events are let
/// through without a question. Who has a hash that is on the list is looked up.
#[derive(Debug, Default)]
pub struct Suppressions {
    hasher: RandomState,
    hashes: HashSet<u64>,
    /// Up to where the list was read.
    seq: i64,
}

/// A batch after the list was asked.
#[derive(Debug)]
pub(in crate::store) struct Screened<'b, 'a> {
    kept: Vec<&'b Row<'a>>,
    /// Users' events, without the visitor whom they named.
    stripped: Vec<Row<'a>>,
    pub(in crate::store) dead_letters: Vec<&'b DeadLetter>,
    /// Events that are not to be stored.
    pub(in crate::store) suppressed: HashSet<Uuid>,
}

impl<'b, 'a> Screened<'b, 'a> {
    fn all_of(batch: &'b Batch<'a>) -> Self {
        Self {
            kept: batch.rows.iter().collect(),
            stripped: Vec::new(),
            dead_letters: batch.dead_letters.iter().collect(),
            suppressed: HashSet::new(),
        }
    }

    /// The rows that may be stored.
    pub(in crate::store) fn rows(&self) -> impl Iterator<Item = &Row<'a>> {
        self.kept.iter().copied().chain(&self.stripped)
    }

    /// How many of the batch's records are left out.
    pub(in crate::store) fn left_out(&self, batch: &Batch<'_>) -> i64 {
        (self.suppressed.len() + batch.dead_letters.len() - self.dead_letters.len()) as i64
    }

    /// Takes out what came of a visitor who is on the list, `is_listed` by id and time of acceptance.
    fn take_out(&mut self, is_listed: impl Fn(&str, Timestamp) -> bool) {
        let Self {
            kept,
            stripped,
            dead_letters,
            suppressed,
        } = self;
        kept.retain(|row| {
            let event = &row.event;
            let is_forgotten = |id: &str| is_listed(id, event.accepted_at);
            if !visitors(event).iter().any(|id| is_forgotten(id)) {
                return true;
            }
            let is_the_visitors = event.anonymous_id.as_deref().is_some_and(is_forgotten);
            if is_the_visitors && believed_user(event).is_none() {
                suppressed.insert(event.event_id);
            } else {
                let event = without_ids(event, is_forgotten);
                stripped.push(Row { event, ..**row });
            }
            false
        });
        dead_letters.retain(|letter| !visitor_of(letter).is_some_and(|id| is_listed(id, letter.received_at)));
    }
}

/// Puts on the list whom a batch's events ask to forget, and takes out of the batch what was accepted after such a wish.
///
/// What was accepted before it is stored, however late it comes: as if it had come in time. An event that a trusted
/// source has named a user for is that user's, and only loses the visitor's ids.
pub(in crate::store) async fn suppress<'b, 'a>(
    transaction: &Transaction<'_>,
    batch: &'b Batch<'a>,
    list: &mut Suppressions,
) -> Result<Screened<'b, 'a>, tokio_postgres::Error> {
    let mut screened = Screened::all_of(batch);
    if batch.rows.is_empty() && batch.dead_letters.is_empty() {
        return Ok(screened);
    }
    let wishes = wishes(batch);
    if !wishes.is_empty() {
        transaction
            .execute(include_str!("../sql/lock_suppressions.sql"), &[])
            .await?;
    }
    list.read_on(transaction).await?;
    if !wishes.is_empty() {
        add(transaction, &wishes).await?;
    }
    let mut suspects = suspects(batch, list);
    suspects.extend(wishes.keys().map(|id| (*id).to_owned()));
    if !suspects.is_empty() {
        let listed = find(transaction, suspects).await?;
        screened.take_out(|id, accepted_at| listed.get(id).is_some_and(|from| accepted_at > *from));
    }
    Ok(screened)
}

/// The ids that an event has of its visitor.
fn visitors<'e>(event: &'e Event<'_>) -> Vec<Cow<'e, str>> {
    let ids = [&event.anonymous_id, &event.previous_id].map(|id| id.as_deref().map(Cow::Borrowed));
    ids.into_iter().flatten().chain(userprint(event)).collect()
}

/// The visitor whose hit a dead letter was.
fn visitor_of(letter: &DeadLetter) -> Option<&str> {
    letter.scope.as_ref()?.pointer("/hit/userprint")?.as_str()
}

/// Whom the batch's events ask to forget, and since when.
fn wishes<'b>(batch: &'b Batch<'_>) -> BTreeMap<&'b str, Timestamp> {
    let mut wishes = BTreeMap::new();
    for event in batch.rows.iter().map(|row| &row.event) {
        if let Some(id) = forgotten(event) {
            let since = wishes.entry(id).or_insert(event.accepted_at);
            *since = event.accepted_at.min(*since);
        }
    }
    wishes
}

/// The ids in a batch that may be on the list.
fn suspects(batch: &Batch<'_>, list: &Suppressions) -> HashSet<String> {
    let mut suspects = HashSet::new();
    if list.hashes.is_empty() {
        return suspects;
    }
    let may_be_listed = |id: &str| list.hashes.contains(&list.hasher.hash_one(id));
    for event in batch.rows.iter().map(|row| &row.event) {
        let ids = visitors(event).into_iter().filter(|id| may_be_listed(id));
        suspects.extend(ids.map(Cow::into_owned));
    }
    let letters = batch.dead_letters.iter().filter_map(visitor_of);
    suspects.extend(letters.filter(|id| may_be_listed(id)).map(str::to_owned));
    suspects
}

async fn add(
    transaction: &Transaction<'_>,
    wishes: &BTreeMap<&str, Timestamp>,
) -> Result<(), tokio_postgres::Error> {
    let ids: Vec<&str> = wishes.keys().copied().collect();
    let since: Vec<Timestamp> = wishes.values().copied().collect();
    let add = include_str!("../sql/add_suppressions.sql");
    transaction.execute(add, &[&ids, &since]).await?;
    Ok(())
}

async fn find(
    transaction: &Transaction<'_>,
    suspects: HashSet<String>,
) -> Result<BTreeMap<String, Timestamp>, tokio_postgres::Error> {
    let suspects: Vec<_> = suspects.into_iter().collect();
    let find = transaction
        .prepare_cached(include_str!("../sql/find_suppressions.sql"))
        .await?;
    let rows = transaction.query(&find, &[&suspects]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

impl Suppressions {
    /// Reads what was committed since.
    async fn read_on(&mut self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        let read = transaction
            .prepare_cached(include_str!("../sql/read_suppressions.sql"))
            .await?;
        loop {
            let rows = transaction.query(&read, &[&self.seq, &PAGE]).await?;
            for row in &rows {
                self.seq = row.get(0);
                self.hashes.insert(self.hasher.hash_one(row.get::<_, &str>(1)));
            }
            if (rows.len() as i64) < PAGE {
                return Ok(());
            }
        }
    }
}
