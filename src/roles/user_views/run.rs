//! Bringing the views up to date: batch after batch, each in one transaction with the marks.

use std::collections::BTreeSet;

use deadpool_postgres::{Client, Transaction};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{UserViews, ViewsError};
use crate::store::views::delta::{self, Marks};
use crate::store::views::{
    Meta, PgKnown, Run, Schema, due, freeze_shares, lock, marks, meta, new_revocations, note_run,
    read_shares, use_schema, write, write_marks, write_meta,
};
use crate::views::step::{Batch, Frame, step};
use crate::views::{DEFINITION_VERSION, Day, Shares};

/// The most persons of a transaction whose row changes by time alone.
const MOST_DUE: i64 = 5_000;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub rows_read: i64,
    pub people_touched: i64,
    pub rows_changed: i64,
    /// Some names of track events that the vocabulary does not have.
    pub unknown_events: BTreeSet<String>,
}

/// What a transaction is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) schema: Schema,
    /// No event from there on.
    pub(super) until: Option<&'a Marks>,
    pub(super) today: Day,
}

/// One transaction's part.
pub(super) struct Part {
    pub(super) done: Done,
    pub(super) is_last: bool,
}

impl UserViews {
    /// Brings the views up to date with what capture has stored.
    ///
    /// # Errors
    /// [`ViewsError::Busy`] while another host does; what was committed before an error stays.
    pub async fn run(&self, token: &CancellationToken) -> Result<Done, ViewsError> {
        let (mut events, mut views) = (self.events.get().await?, self.views.get().await?);
        let scope = Scope {
            schema: Schema::Live,
            until: None,
            today: self.today(),
        };
        let mut all = Done::default();
        loop {
            let started_at = self.now();
            let part = self.part(&mut events, &mut views, scope, started_at).await?;
            all.add(part.done);
            if part.is_last {
                return Ok(all);
            }
            if token.is_cancelled() {
                return Err(ViewsError::Stopped);
            }
        }
    }

    /// The day whose rows are written.
    pub(super) fn today(&self) -> Day {
        self.zone.day(self.now())
    }

    /// One batch, in one transaction.
    pub(super) async fn part(
        &self,
        events: &mut Client,
        views: &mut Client,
        scope: Scope<'_>,
        started_at: Timestamp,
    ) -> Result<Part, ViewsError> {
        let transaction = views.transaction().await?;
        if !lock(&transaction).await? {
            return Err(ViewsError::Busy);
        }
        use_schema(&transaction, scope.schema).await?;
        let (mut meta, shares) = self.basis(&transaction, scope).await?;
        let from = marks(&transaction).await?;
        let delta = delta::read(events, &from, scope.until, self.max_batch, &self.zone).await?;
        let revoked = new_revocations(&transaction, delta.revoked).await?;
        let due = match delta.is_all {
            true => due(&transaction, scope.today, MOST_DUE).await?,
            false => Vec::new(),
        };
        let is_last = delta.is_all && (due.len() as i64) < MOST_DUE;
        if delta.marks == from && due.is_empty() && revoked.is_empty() {
            transaction.commit().await?;
            return Ok(Part {
                done: Done::default(),
                is_last,
            });
        }
        let batch = Batch {
            acts: delta.acts,
            revoked,
            due,
        };
        let frame = Frame {
            today: scope.today,
            zone: &self.zone,
            shares: &shares,
        };
        let changes = step(&mut PgKnown(&transaction), batch, frame).await?;
        let finished_at = self.now();
        let rows_changed = write(&transaction, &changes, scope.today, &self.zone, finished_at).await?;
        write_marks(&transaction, &delta.marks).await?;
        let done = Done {
            rows_read: delta.rows_read,
            people_touched: changes.people.len() as i64,
            rows_changed: rows_changed as i64,
            unknown_events: delta.unknown_events,
        };
        if scope.schema == Schema::Live {
            let run = run_row(
                "run",
                &done,
                started_at,
                finished_at,
                scope.today,
                meta.shares_of.take(),
            );
            note_run(&transaction, &run).await?;
        }
        transaction.commit().await?;
        Ok(Part { done, is_last })
    }

    /// What the views are made by, and the averages that they are compared with.
    async fn basis(
        &self,
        transaction: &Transaction<'_>,
        scope: Scope<'_>,
    ) -> Result<(Meta, Shares), ViewsError> {
        let known = match meta(transaction).await? {
            Some(known) => known,
            None => {
                let new = Meta {
                    definition_version: DEFINITION_VERSION,
                    zone: self.zone_name.clone(),
                    shares_of: None,
                };
                write_meta(transaction, &new).await?;
                new
            }
        };
        if known.definition_version != DEFINITION_VERSION || known.zone != self.zone_name {
            return Err(ViewsError::Outdated {
                was: match known.definition_version {
                    0 => "events of which some are gone".to_owned(),
                    version => format!("definition {version} in {}", known.zone),
                },
                is: format!("definition {DEFINITION_VERSION} in {}", self.zone_name),
            });
        }
        let shares = read_shares(transaction).await?;
        // Copies are compared with the averages of what they are a copy of.
        if scope.schema == Schema::Copy || !are_old(&known, &shares, scope.today) {
            return Ok((known, shares));
        }
        let fresh = Meta {
            shares_of: Some(scope.today),
            ..known
        };
        let shares = freeze_shares(transaction, scope.today).await?;
        write_meta(transaction, &fresh).await?;
        Ok((fresh, shares))
    }
}

/// Averages are frozen anew each week, and each day while there are none.
fn are_old(meta: &Meta, shares: &Shares, today: Day) -> bool {
    let week = |day: Day| (day.0 + 3).div_euclid(7);
    match meta.shares_of {
        None => true,
        Some(of) if of >= today => false,
        Some(of) => week(of) != week(today) || shares.topics.is_empty() && shares.authors.is_empty(),
    }
}

pub(super) fn run_row<'a>(
    kind: &'a str,
    done: &'a Done,
    started_at: Timestamp,
    finished_at: Timestamp,
    as_of: Day,
    shares_of: Option<Day>,
) -> Run<'a> {
    Run {
        kind,
        started_at,
        finished_at,
        as_of,
        definition_version: DEFINITION_VERSION,
        shares_of,
        rows_read: done.rows_read,
        people_touched: done.people_touched,
        rows_changed: done.rows_changed,
        unknown_events: &done.unknown_events,
    }
}

impl Done {
    pub(super) fn add(&mut self, other: Self) {
        self.rows_read += other.rows_read;
        self.people_touched += other.people_touched;
        self.rows_changed += other.rows_changed;
        self.unknown_events.extend(other.unknown_events);
    }
}
