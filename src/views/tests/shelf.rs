//! The tables in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use uuid::Uuid;

use crate::views::step::{Changes, DayRow, Figures, Group, Known, Person, PersonLink, SessionKey};
use crate::views::{Day, PersonKey, PersonState, Session, StreamDay, StreamOn, Transition, UserView};

#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    streams: BTreeMap<StreamOn, StreamDay>,
    links: BTreeMap<(String, String), bool>,
    pub(super) people: BTreeMap<PersonKey, (PersonState, Option<UserView>, Day)>,
    pub(super) days: BTreeMap<(Uuid, Day), DayRow>,
    pub(super) sessions: BTreeMap<SessionKey, Session>,
    pub(super) transitions: BTreeMap<(Uuid, Day), Transition>,
    pub(super) crowd: BTreeMap<(Group, Day), Figures>,
}

impl Shelf {
    pub(super) fn write(&mut self, changes: Changes, today: Day) {
        for (stream, day) in changes.streams {
            let bytes = day.to_bytes();
            self.streams
                .insert(stream, StreamDay::from_bytes(&bytes).unwrap());
        }
        for link in changes.links {
            self.links
                .insert((link.anonymous_id, link.user_id), link.is_revoked);
        }
        for person in changes.people {
            match person.state {
                Some(state) => {
                    let state = PersonState::from_bytes(&state.to_bytes()).unwrap();
                    self.people.insert(person.key, (state, person.view, today));
                }
                None => {
                    self.people.remove(&person.key);
                }
            }
        }
        for (person, day, row) in changes.days {
            match row {
                Some(row) => self.days.insert((person, day), row),
                None => self.days.remove(&(person, day)),
            };
        }
        for key in changes.gone_sessions {
            assert!(self.sessions.remove(&key).is_some(), "only what is there goes");
        }
        for (person, session) in changes.sessions {
            self.sessions.insert((person, session.piece.started), session);
        }
        for (person, transition) in changes.gone_transitions {
            let gone = self.transitions.remove(&(person, transition.day));
            assert_eq!(gone, Some(transition), "only what is there goes");
        }
        for (person, transition) in changes.transitions {
            self.transitions.insert((person, transition.day), transition);
        }
        for (group, figures) in changes.crowd.0 {
            let known = self.crowd.entry(group).or_default();
            *known = known.plus(figures, 1);
        }
        self.crowd.retain(|_, figures| *figures != Figures::default());
    }

    pub(super) fn due(&self, today: Day) -> Vec<PersonKey> {
        let is_due = |(_, (state, view, _)): &(&PersonKey, &(PersonState, Option<UserView>, Day))| match view
        {
            Some(view) => view.next_change.is_some_and(|day| day <= today),
            None => state.days.first().is_some_and(|first| first <= today),
        };
        self.people
            .iter()
            .filter(is_due)
            .map(|(person, _)| person.clone())
            .collect()
    }

    pub(super) fn assert_same(&self, other: &Self) -> Result<(), TestCaseError> {
        prop_assert_eq!(&self.streams, &other.streams);
        prop_assert_eq!(&self.links, &other.links);
        let states = |shelf: &Self| -> Vec<_> {
            let people = shelf.people.iter();
            people
                .map(|(person, (state, view, _))| (person.clone(), state.clone(), view.clone()))
                .collect()
        };
        prop_assert_eq!(states(self), states(other));
        prop_assert_eq!(&self.days, &other.days);
        prop_assert_eq!(&self.sessions, &other.sessions);
        prop_assert_eq!(&self.transitions, &other.transitions);
        prop_assert_eq!(&self.crowd, &other.crowd);
        Ok(())
    }

    fn find(&self, is_wanted: impl Fn(&StreamOn) -> bool) -> Vec<(StreamOn, StreamDay)> {
        let found = self.streams.iter().filter(|(stream, _)| is_wanted(stream));
        found.map(|(stream, day)| (stream.clone(), day.clone())).collect()
    }

    fn links(&self, is_wanted: impl Fn(&(String, String)) -> bool) -> Vec<PersonLink> {
        let found = self.links.iter().filter(|(pair, _)| is_wanted(pair));
        found
            .map(|((anonymous_id, user_id), is_revoked)| PersonLink {
                anonymous_id: anonymous_id.clone(),
                user_id: user_id.clone(),
                is_revoked: *is_revoked,
            })
            .collect()
    }
}

impl Known for Shelf {
    type Error = Infallible;

    async fn days_of_visitors(
        &mut self,
        wanted: &[(String, Day)],
    ) -> Result<Vec<(StreamOn, StreamDay)>, Infallible> {
        Ok(self.find(|(stream, day)| wanted.contains(&(stream.anonymous_id.clone(), *day))))
    }

    async fn days_of_users(
        &mut self,
        wanted: &[(String, Day)],
    ) -> Result<Vec<(StreamOn, StreamDay)>, Infallible> {
        Ok(self
            .find(|(stream, day)| !stream.is_anonymous() && wanted.contains(&(stream.user_id.clone(), *day))))
    }

    async fn all_of_visitors(
        &mut self,
        anonymous_ids: &[String],
    ) -> Result<Vec<(StreamOn, StreamDay)>, Infallible> {
        Ok(self.find(|(stream, _)| anonymous_ids.contains(&stream.anonymous_id)))
    }

    async fn all_of_users(&mut self, user_ids: &[String]) -> Result<Vec<(StreamOn, StreamDay)>, Infallible> {
        Ok(self.find(|(stream, _)| !stream.is_anonymous() && user_ids.contains(&stream.user_id)))
    }

    async fn links_of_visitors(&mut self, anonymous_ids: &[String]) -> Result<Vec<PersonLink>, Infallible> {
        Ok(self.links(|(visitor, _)| anonymous_ids.contains(visitor)))
    }

    async fn links_of_users(&mut self, user_ids: &[String]) -> Result<Vec<PersonLink>, Infallible> {
        Ok(self.links(|(_, user)| user_ids.contains(user)))
    }

    async fn people(&mut self, people: &[PersonKey]) -> Result<Vec<Person>, Infallible> {
        let found = people.iter().filter_map(|key| Some((key, self.people.get(key)?)));
        Ok(found
            .map(|(key, (state, _, viewed_on))| Person {
                key: key.clone(),
                state: state.clone(),
                viewed_on: *viewed_on,
            })
            .collect())
    }
}
