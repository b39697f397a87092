//! What has changed of one person.

use std::collections::{BTreeMap, BTreeSet};

use super::changes::{Changes, DayRow};
use super::crowd::Side;
use super::loaded::Turn;
use super::mine::Days;
use crate::views::person_day::PersonDay;
use crate::views::{Day, PersonKey, PersonState, Session, transitions};

/// One person before and after.
pub(super) struct Delta<'a> {
    pub(super) person: &'a PersonKey,
    pub(super) days: &'a Turn<Days>,
    pub(super) sessions: &'a Turn<BTreeMap<Day, Vec<Session>>>,
    pub(super) old: &'a PersonState,
    /// The day for which the transitions were written last.
    pub(super) viewed_on: Option<Day>,
    pub(super) new: &'a PersonState,
    pub(super) today: Day,
}

impl Delta<'_> {
    pub(super) fn write(&self, changes: &mut Changes) {
        let id = self.person.person_id();
        let row = |facts: &PersonDay, sessions: Option<&Vec<Session>>| DayRow {
            facts: facts.clone(),
            sessions: sessions.map_or(0, |sessions| sessions.len() as i64),
        };
        let days: BTreeSet<_> = self.days.old.keys().chain(self.days.new.keys()).collect();
        for day in &days {
            let old = self
                .days
                .old
                .get(day)
                .map(|facts| row(facts, self.sessions.old.get(day)));
            let new = self
                .days
                .new
                .get(day)
                .map(|facts| row(facts, self.sessions.new.get(day)));
            for (side, row) in [(Side::Old, &old), (Side::New, &new)] {
                if let Some(row) = row {
                    changes.crowd.count_day(side, **day, &row.facts);
                }
            }
            if old != new {
                changes.days.push((id, **day, new));
            }
        }
        self.write_sessions(changes);
        if let (Some(first), Some(last)) = (days.first(), days.last()) {
            // A first day that moves is told where it was and where it is.
            let from = **first;
            let from = self.old.days.first().map_or(from, |old| old.min(from));
            let from = if self.old.days.first() == self.new.days.first() {
                **first
            } else {
                from
            };
            let until = self.old.days.first().map_or(**last, |old| old.max(**last));
            changes
                .crowd
                .count_windows(Side::Old, &self.old.days, from, until);
            changes
                .crowd
                .count_windows(Side::New, &self.new.days, from, until);
        }
        self.write_transitions(days.first().map(|day| **day), changes);
    }

    fn write_sessions(&self, changes: &mut Changes) {
        let id = self.person.person_id();
        let old: Vec<_> = self.sessions.old.values().flatten().collect();
        let new: Vec<_> = self.sessions.new.values().flatten().collect();
        let starts: BTreeSet<_> = new.iter().map(|session| session.piece.started).collect();
        for session in &old {
            changes.crowd.count_session(Side::Old, session);
            if !starts.contains(&session.piece.started) {
                changes.gone_sessions.push((id, session.piece.started));
            }
        }
        let before: BTreeMap<_, _> = old
            .iter()
            .map(|session| (session.piece.started, *session))
            .collect();
        for session in &new {
            changes.crowd.count_session(Side::New, session);
            if before.get(&session.piece.started) != Some(session) {
                changes.sessions.push((id, (*session).clone()));
            }
        }
    }

    fn write_transitions(&self, first_touched: Option<Day>, changes: &mut Changes) {
        let id = self.person.person_id();
        let unseen = self.viewed_on.map_or(Day(i32::MIN / 2), |day| day.plus(1));
        let first = first_touched.unwrap_or(unseen).min(unseen);
        let Some(known) = self.new.days.first().or(self.old.days.first()) else {
            return;
        };
        let known = self.old.days.first().map_or(known, |old| old.min(known));
        let from = first.max(known);
        let old = match self.viewed_on {
            Some(viewed_on) => transitions(&self.old.days, from, viewed_on),
            None => Vec::new(),
        };
        let new = transitions(&self.new.days, from, self.today);
        let (gone, added): (BTreeSet<_>, BTreeSet<_>) =
            (old.into_iter().collect(), new.into_iter().collect());
        changes
            .gone_transitions
            .extend(gone.difference(&added).map(|change| (id, *change)));
        changes
            .transitions
            .extend(added.difference(&gone).map(|change| (id, *change)));
    }
}
