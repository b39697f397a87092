//! Figures of many people together.

use std::collections::BTreeMap;

use crate::views::person_day::PersonDay;
use crate::views::{Day, DaySet, Session};

/// What figures are about; each on a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Content(String),
    Author(String),
    Topic(String),
    /// By how sessions began.
    Channel(String),
    /// Everybody.
    All,
}

/// What people did; or by how much that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Who did any of it.
    pub people: i64,
    /// Of them, those whose first day it is.
    pub new_people: i64,
    /// Who did any of it on the day or the six before.
    pub people_7d: i64,
    /// On the day or the 27 before.
    pub people_28d: i64,
    pub sessions: i64,
    pub events: i64,
    pub views: i64,
    pub reads: i64,
    pub completed_reads: i64,
    pub engaged_seconds: i64,
    /// For the site's average of what readers like.
    pub weight: i64,
}

/// Figures by group and day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crowd(pub BTreeMap<(Group, Day), Figures>);

/// Whether a person's figures come in or go out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    New = 1,
    Old = -1,
}

impl Crowd {
    /// A person's day.
    pub(super) fn count_day(&mut self, side: Side, day: Day, facts: &PersonDay) {
        let sign = side as i64;
        let all = self.at(Group::All, day);
        all.people += sign;
        all.events += sign * facts.counts.events;
        all.reads += sign * facts.reads();
        all.completed_reads += sign * facts.completed_reads();
        all.engaged_seconds += sign * facts.engaged_seconds;
        let mut groups = BTreeMap::<Group, Figures>::new();
        for (id, content) in &facts.contents {
            let figures = Figures {
                people: 1,
                views: i64::from(content.reading.viewed),
                reads: i64::from(content.reading.read),
                completed_reads: i64::from(content.reading.completed),
                engaged_seconds: content.engaged_seconds,
                weight: content.reading.weight(),
                ..Figures::default()
            };
            let about = content.reading.about.iter();
            let topics = about
                .clone()
                .flat_map(|about| about.topics.iter().cloned().map(Group::Topic));
            let author = about.flat_map(|about| about.author.iter().cloned().map(Group::Author));
            for group in topics.chain(author).chain([Group::Content(id.clone())]) {
                let known = groups.entry(group).or_default();
                *known = known.plus(figures, 1);
                // A person is one, however many articles of a topic it reads.
                known.people = 1;
            }
        }
        for (group, figures) in groups {
            let known = self.at(group, day);
            *known = known.plus(figures, sign);
        }
    }

    /// A person's session.
    pub(super) fn count_session(&mut self, side: Side, session: &Session) {
        let sign = side as i64;
        self.at(Group::All, session.day).sessions += sign;
        let channel = match session.first().arrival.channel.as_str() {
            "" => "direct",
            channel => channel,
        };
        let figures = self.at(Group::Channel(channel.to_owned()), session.day);
        figures.sessions += sign;
        figures.events += sign * session.piece.events;
        figures.reads += sign * session.piece.reads;
        figures.engaged_seconds += sign * session.piece.engaged_seconds;
    }

    /// A person's days: whether it was active in the week, or four weeks, until each day from `from` on; and whether it was new.
    pub(super) fn count_windows(&mut self, side: Side, days: &DaySet, from: Day, until: Day) {
        let sign = side as i64;
        if let Some(first) = days.first().filter(|first| (from..=until).contains(first)) {
            self.at(Group::All, first).new_people += sign;
        }
        for day in (from.0..=until.0.saturating_add(27)).map(Day) {
            if days.count_in(day.plus(-28), day) == 0 {
                continue;
            }
            self.at(Group::All, day).people_28d += sign;
            if days.count_in(day.plus(-7), day) > 0 {
                self.at(Group::All, day).people_7d += sign;
            }
        }
    }

    /// Leaves out what has not changed after all.
    pub(super) fn shrink(&mut self) {
        self.0.retain(|_, figures| *figures != Figures::default());
    }

    fn at(&mut self, group: Group, day: Day) -> &mut Figures {
        self.0.entry((group, day)).or_default()
    }
}

impl Figures {
    /// Adds others, `sign` times.
    #[must_use]
    pub fn plus(self, other: Self, sign: i64) -> Self {
        Self {
            people: self.people + sign * other.people,
            new_people: self.new_people + sign * other.new_people,
            people_7d: self.people_7d + sign * other.people_7d,
            people_28d: self.people_28d + sign * other.people_28d,
            sessions: self.sessions + sign * other.sessions,
            events: self.events + sign * other.events,
            views: self.views + sign * other.views,
            reads: self.reads + sign * other.reads,
            completed_reads: self.completed_reads + sign * other.completed_reads,
            engaged_seconds: self.engaged_seconds + sign * other.engaged_seconds,
            weight: self.weight + sign * other.weight,
        }
    }
}
