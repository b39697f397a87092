//! What a step has read, as it was before and as it is after.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::changes::Changes;
use super::known::{Known, PersonLink};
use crate::identity::Links;
use crate::views::stream::StreamOn;
use crate::views::{Act, Day, Stream, StreamDay};

/// A value before a step and after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn<T> {
    pub(super) old: T,
    pub(super) new: T,
}

/// Users of an anonymous id: whether the pair is revoked.
type Users = BTreeMap<String, bool>;

#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// By anonymous id; all links of it.
    links: BTreeMap<String, Turn<Users>>,
    /// By stream and day, of which `old` is empty where there was nothing.
    pub(super) days: BTreeMap<StreamOn, Turn<StreamDay>>,
    /// Anonymous ids and users of which a day, or all days, have been asked for.
    visitor_days: BTreeSet<(String, Day)>,
    user_days: BTreeSet<(String, Day)>,
    whole_visitors: BTreeSet<String>,
    whole_users: BTreeSet<String>,
}

impl Loaded {
    pub(super) async fn load_links<K: Known>(
        &mut self,
        known: &mut K,
        anonymous_ids: BTreeSet<String>,
    ) -> Result<(), K::Error> {
        let wanted: Vec<_> = anonymous_ids
            .into_iter()
            .filter(|id| !id.is_empty() && !self.links.contains_key(id))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = known.links_of_visitors(&wanted).await?;
        for id in wanted {
            self.links.entry(id).or_default();
        }
        for link in found {
            let users = self.links.entry(link.anonymous_id).or_default();
            users.old.insert(link.user_id.clone(), link.is_revoked);
            users.new.insert(link.user_id, link.is_revoked);
        }
        Ok(())
    }

    /// Adds links, and revocations, which hold for pairs that are joined only later as well.
    pub(super) async fn join<K: Known>(
        &mut self,
        known: &mut K,
        joins: BTreeSet<(String, String)>,
        revoked: BTreeSet<(String, String)>,
    ) -> Result<(), K::Error> {
        let visitors = joins.iter().chain(&revoked).map(|(visitor, _)| visitor.clone());
        self.load_links(known, visitors.collect()).await?;
        for (visitor, user) in joins {
            self.links
                .entry(visitor)
                .or_default()
                .new
                .entry(user)
                .or_insert(false);
        }
        for (visitor, user) in revoked {
            self.links.entry(visitor).or_default().new.insert(user, true);
        }
        Ok(())
    }

    /// Reads the days that a batch adds to, and all days of anonymous ids whose events may change hands.
    pub(super) async fn load_touched<K: Known>(
        &mut self,
        known: &mut K,
        touched: &BTreeMap<StreamOn, Vec<&Act>>,
    ) -> Result<(), K::Error> {
        let changing = self.links.iter().filter(|(_, users)| {
            let (old, new) = (live(&users.old), live(&users.new));
            old != new || new.len() > 1
        });
        let changing: BTreeSet<_> = changing.map(|(visitor, _)| visitor.clone()).collect();
        self.load_whole_visitors(known, changing).await?;
        let (mut visitors, mut users) = (BTreeSet::new(), BTreeSet::new());
        for (stream, day) in touched.keys() {
            match stream.anonymous_id.is_empty() {
                true => users.insert((stream.user_id.clone(), *day)),
                false => visitors.insert((stream.anonymous_id.clone(), *day)),
            };
        }
        self.load_visitor_days(known, visitors).await?;
        self.load_user_days(known, users).await
    }

    pub(super) async fn load_visitor_days<K: Known>(
        &mut self,
        known: &mut K,
        wanted: BTreeSet<(String, Day)>,
    ) -> Result<(), K::Error> {
        let is_new = |(visitor, day): &(String, Day)| {
            !self.whole_visitors.contains(visitor) && !self.visitor_days.contains(&(visitor.clone(), *day))
        };
        let wanted: Vec<_> = wanted.into_iter().filter(is_new).collect();
        if !wanted.is_empty() {
            let found = known.days_of_visitors(&wanted).await?;
            self.keep(found);
            self.visitor_days.extend(wanted);
        }
        Ok(())
    }

    pub(super) async fn load_user_days<K: Known>(
        &mut self,
        known: &mut K,
        wanted: BTreeSet<(String, Day)>,
    ) -> Result<(), K::Error> {
        let is_new = |(user, day): &(String, Day)| {
            !self.whole_users.contains(user) && !self.user_days.contains(&(user.clone(), *day))
        };
        let wanted: Vec<_> = wanted.into_iter().filter(is_new).collect();
        if !wanted.is_empty() {
            let found = known.days_of_users(&wanted).await?;
            self.keep(found);
            self.user_days.extend(wanted);
        }
        Ok(())
    }

    pub(super) async fn load_whole_visitors<K: Known>(
        &mut self,
        known: &mut K,
        visitors: BTreeSet<String>,
    ) -> Result<(), K::Error> {
        let wanted: Vec<_> = visitors.difference(&self.whole_visitors).cloned().collect();
        if !wanted.is_empty() {
            let found = known.all_of_visitors(&wanted).await?;
            self.keep(found);
            self.whole_visitors.extend(wanted);
        }
        Ok(())
    }

    pub(super) async fn load_whole_users<K: Known>(
        &mut self,
        known: &mut K,
        users: BTreeSet<String>,
    ) -> Result<(), K::Error> {
        let wanted: Vec<_> = users.difference(&self.whole_users).cloned().collect();
        if !wanted.is_empty() {
            let found = known.all_of_users(&wanted).await?;
            self.keep(found);
            self.whole_users.extend(wanted);
        }
        Ok(())
    }

    /// Keeps what was read; what is there already may have been added to.
    fn keep(&mut self, found: Vec<(StreamOn, StreamDay)>) {
        for (stream, day) in found {
            self.days.entry(stream).or_insert_with(|| Turn {
                old: day.clone(),
                new: day,
            });
        }
    }

    /// Adds a batch's events of a stream's day, which must have been read.
    pub(super) fn add(&mut self, stream: Stream, day: Day, acts: &[&Act]) {
        let turn = self.days.entry((stream, day)).or_default();
        for act in acts {
            turn.new.add(act);
        }
    }

    /// The users of an anonymous id before and after; its links must have been read.
    pub(super) fn users_of(&self, anonymous_id: &str) -> Turn<Links> {
        let users = self.links.get(anonymous_id);
        Turn {
            old: links(users.map(|users| &users.old)),
            new: links(users.map(|users| &users.new)),
        }
    }

    /// The anonymous ids whose links were read.
    pub(super) fn visitors(&self) -> impl Iterator<Item = &str> {
        self.links.keys().map(String::as_str)
    }

    /// The links of these users as they are after the step, all of them.
    pub(super) async fn visitors_of<K: Known>(
        &mut self,
        known: &mut K,
        users: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, K::Error> {
        let users_list: Vec<_> = users.iter().cloned().collect();
        let stored = match users_list.is_empty() {
            true => Vec::new(),
            false => known.links_of_users(&users_list).await?,
        };
        let visitors: BTreeSet<_> = stored.iter().map(|link| link.anonymous_id.clone()).collect();
        self.load_links(known, visitors).await?;
        let mut found: BTreeMap<_, BTreeSet<_>> =
            users.iter().map(|user| (user.clone(), BTreeSet::new())).collect();
        for (visitor, turn) in &self.links {
            for user in turn.old.keys().chain(turn.new.keys()) {
                if let Some(visitors) = found.get_mut(user) {
                    visitors.insert(visitor.clone());
                }
            }
        }
        Ok(found)
    }

    /// What is to be written of streams and links.
    pub(super) fn write(self, changes: &mut Changes) {
        for (stream, turn) in self.days {
            if turn.old != turn.new {
                changes.streams.push((stream, turn.new));
            }
        }
        for (anonymous_id, turn) in self.links {
            for (user_id, is_revoked) in turn.new {
                if turn.old.get(&user_id) != Some(&is_revoked) {
                    changes.links.push(PersonLink {
                        anonymous_id: anonymous_id.clone(),
                        user_id,
                        is_revoked,
                    });
                }
            }
        }
    }
}

fn live(users: &Users) -> BTreeSet<&String> {
    let live = users.iter().filter(|(_, is_revoked)| !**is_revoked);
    live.map(|(user, _)| user).collect()
}

fn links(users: Option<&Users>) -> Links {
    let live = users.map(live).unwrap_or_default();
    let edges = live.into_iter().map(|user| (user.as_str(), Timestamp::MIN));
    Links::new(edges, [], Timestamp::MAX)
}
