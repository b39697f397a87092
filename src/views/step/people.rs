//! The persons that a step touches.

use std::collections::{BTreeMap, BTreeSet};

use super::Frame;
use super::changes::{Changes, DayRow, PersonChange};
use super::crowd::Side;
use super::known::{Known, Person};
use super::loaded::{Loaded, Turn};
use super::owners::{Owners, anonymous_fragments};
use crate::views::fragment::GAP;
use crate::views::person_day::PersonDay;
use crate::views::session::sessions;
use crate::views::state::DayPart;
use crate::views::{Day, Fragment, PersonKey, PersonState, Session, UserView, Zone, transitions};

type Days = BTreeMap<Day, PersonDay>;

pub(super) struct People {
    touched: BTreeMap<PersonKey, BTreeSet<Day>>,
    /// Those whose days were all read, to count them from the beginning.
    whole: BTreeSet<PersonKey>,
    /// Anonymous ids of each user, former ones among them.
    visitors: BTreeMap<String, BTreeSet<String>>,
    stored: BTreeMap<PersonKey, Person>,
}

impl People {
    pub(super) fn new(owners: Owners, due: Vec<PersonKey>) -> Self {
        let mut touched = owners.touched;
        for person in due {
            touched.entry(person).or_default();
        }
        Self {
            touched,
            whole: owners.losers,
            visitors: BTreeMap::new(),
            stored: BTreeMap::new(),
        }
    }

    /// Reads everything that the touched days consist of, and the days that sessions hang together with.
    pub(super) async fn load<K: Known>(
        &mut self,
        known: &mut K,
        loaded: &mut Loaded,
        zone: &Zone,
    ) -> Result<(), K::Error> {
        let keys: Vec<_> = self.touched.keys().cloned().collect();
        self.stored = known
            .people(&keys)
            .await?
            .into_iter()
            .map(|person| (person.key.clone(), person))
            .collect();
        let users = keys
            .iter()
            .filter_map(PersonKey::user_id)
            .map(str::to_owned)
            .collect();
        self.visitors = loaded.visitors_of(known, &users).await?;
        let shared = self.visitors.values().flatten().filter(|visitor| {
            let links = loaded.users_of(visitor);
            links.old.is_shared() || links.new.is_shared()
        });
        let shared = shared.cloned().collect();
        loaded.load_whole_visitors(known, shared).await?;
        self.load_whole(known, loaded, self.whole.clone()).await?;
        let mut fresh = self.touched.clone();
        while !fresh.is_empty() {
            self.load_days(known, loaded, &fresh).await?;
            fresh = self.neighbours(loaded, &fresh, zone);
            for (person, days) in &fresh {
                self.touched.entry(person.clone()).or_default().extend(days);
            }
        }
        Ok(())
    }

    fn visitors_of(&self, person: &PersonKey) -> BTreeSet<String> {
        match person {
            PersonKey::Visitor(visitor) => BTreeSet::from([visitor.clone()]),
            PersonKey::User(user) => self.visitors.get(user).cloned().unwrap_or_default(),
        }
    }

    async fn load_whole<K: Known>(
        &mut self,
        known: &mut K,
        loaded: &mut Loaded,
        persons: BTreeSet<PersonKey>,
    ) -> Result<(), K::Error> {
        let visitors = persons
            .iter()
            .flat_map(|person| self.visitors_of(person))
            .collect();
        loaded.load_whole_visitors(known, visitors).await?;
        let users = persons
            .iter()
            .filter_map(PersonKey::user_id)
            .map(str::to_owned)
            .collect();
        loaded.load_whole_users(known, users).await?;
        self.whole.extend(persons);
        Ok(())
    }

    async fn load_days<K: Known>(
        &self,
        known: &mut K,
        loaded: &mut Loaded,
        wanted: &BTreeMap<PersonKey, BTreeSet<Day>>,
    ) -> Result<(), K::Error> {
        let (mut visitors, mut users) = (BTreeSet::new(), BTreeSet::new());
        for (person, days) in wanted.iter().filter(|(person, _)| !self.whole.contains(*person)) {
            for visitor in self.visitors_of(person) {
                visitors.extend(days.iter().map(|day| (visitor.clone(), *day)));
            }
            if let Some(user) = person.user_id() {
                users.extend(days.iter().map(|day| (user.to_owned(), *day)));
            }
        }
        loaded.load_visitor_days(known, visitors).await?;
        loaded.load_user_days(known, users).await
    }

    /// Days beside these that have not been read, where a session may go on beyond midnight.
    fn neighbours(
        &self,
        loaded: &Loaded,
        days: &BTreeMap<PersonKey, BTreeSet<Day>>,
        zone: &Zone,
    ) -> BTreeMap<PersonKey, BTreeSet<Day>> {
        let mine = Mine::of(loaded, days.keys().filter(|person| !self.whole.contains(*person)));
        let mut found = BTreeMap::<PersonKey, BTreeSet<Day>>::new();
        for ((person, day), fragments) in mine.0 {
            if !days.get(&person).is_some_and(|days| days.contains(&day)) {
                continue;
            }
            let both = || fragments.old.iter().chain(&fragments.new);
            let first = both().map(|fragment| fragment.started).min().unwrap_or(i64::MAX);
            let last = both().map(|fragment| fragment.ended).max().unwrap_or(i64::MIN);
            let before = first <= zone.start(day).as_microsecond().saturating_add(GAP);
            let after = last.saturating_add(GAP) >= zone.start(day.plus(1)).as_microsecond();
            let sides = [(before, day.plus(-1)), (after, day.plus(1))];
            for beside in sides
                .into_iter()
                .filter_map(|(is_near, beside)| is_near.then_some(beside))
            {
                if !self.touched[&person].contains(&beside) {
                    found.entry(person.clone()).or_default().insert(beside);
                }
            }
        }
        found
    }

    /// Counts, for each touched person, what was and what is.
    pub(super) async fn change<K: Known>(
        &mut self,
        known: &mut K,
        loaded: &mut Loaded,
        frame: Frame<'_>,
    ) -> Result<Changes, K::Error> {
        let mut changes = Changes::default();
        let mut stuck = BTreeSet::new();
        let mine = Mine::of(loaded, self.touched.keys());
        for (person, days) in mine.split(&self.touched, &self.whole) {
            if !self.change_one(&person, &days, loaded, frame, &mut changes) {
                stuck.insert(person);
            }
        }
        if !stuck.is_empty() {
            self.load_whole(known, loaded, stuck.clone()).await?;
            let mine = Mine::of(loaded, stuck.iter());
            let touched = stuck
                .iter()
                .map(|person| (person.clone(), BTreeSet::new()))
                .collect();
            for (person, days) in mine.split(&touched, &self.whole) {
                self.change_one(&person, &days, loaded, frame, &mut changes);
            }
        }
        changes.crowd.shrink();
        Ok(changes)
    }

    /// False, and nothing done, where the person has to be counted from the beginning for which not all is read.
    fn change_one(
        &self,
        person: &PersonKey,
        days: &Turn<Days>,
        loaded: &Loaded,
        frame: Frame<'_>,
        changes: &mut Changes,
    ) -> bool {
        let stored = self.stored.get(person);
        let sessions = Turn {
            old: by_day(&days.old),
            new: by_day(&days.new),
        };
        let is_whole = self.whole.contains(person);
        let old_state = stored.map(|person| person.state.clone()).unwrap_or_default();
        let mut state = if is_whole {
            PersonState::default()
        } else {
            old_state.clone()
        };
        for (day, facts) in &days.new {
            let old = days.old.get(day).filter(|_| !is_whole);
            let old = old.map(|facts| part(facts, sessions.old.get(day)));
            let follows = state.change(*day, old, part(facts, sessions.new.get(day)));
            if !follows && !is_whole {
                return false;
            }
        }
        let delta = Delta {
            person,
            days,
            sessions: &sessions,
            old: &old_state,
            viewed_on: stored.map(|person| person.viewed_on),
            new: &state,
            today: frame.today,
        };
        delta.write(changes);
        let live = self.visitors_of(person);
        let is_live = |visitor: &&String| match person.user_id() {
            Some(user) => loaded.users_of(visitor).new.users().any(|live| live == user),
            None => true,
        };
        let anonymous_ids = live.iter().filter(is_live).count();
        let is_somebody = !state.days.is_empty();
        changes.people.push(PersonChange {
            key: person.clone(),
            view: is_somebody
                .then(|| UserView::new(person, anonymous_ids, &state, frame.shares, frame.today))
                .flatten(),
            state: is_somebody.then_some(state),
        });
        true
    }
}

/// Fragments by whose they are and when, before and after.
struct Mine<'a>(BTreeMap<(PersonKey, Day), Turn<Vec<&'a Fragment>>>);

impl<'a> Mine<'a> {
    fn of<'p>(loaded: &'a Loaded, persons: impl Iterator<Item = &'p PersonKey>) -> Self {
        let persons: BTreeSet<_> = persons.collect();
        let mut mine = BTreeMap::<_, Turn<Vec<_>>>::new();
        for ((stream, day), turn) in &loaded.days {
            let user = PersonKey::User(stream.user_id.clone());
            if stream.is_anonymous() || !persons.contains(&user) {
                continue;
            }
            let entry = mine.entry((user, *day)).or_default();
            entry.old.extend(&turn.old.fragments);
            entry.new.extend(&turn.new.fragments);
        }
        for visitor in visitors(loaded) {
            let links = loaded.users_of(visitor);
            for (day, fragment, person) in anonymous_fragments(loaded, visitor, &links.old, |turn| &turn.old)
            {
                if persons.contains(&person) {
                    mine.entry((person, day)).or_default().old.push(fragment);
                }
            }
            for (day, fragment, person) in anonymous_fragments(loaded, visitor, &links.new, |turn| &turn.new)
            {
                if persons.contains(&person) {
                    mine.entry((person, day)).or_default().new.push(fragment);
                }
            }
        }
        Self(mine)
    }

    /// The touched days of each person, or all. Other days were read for somebody else, and perhaps not all of them.
    fn split(
        self,
        touched: &BTreeMap<PersonKey, BTreeSet<Day>>,
        whole: &BTreeSet<PersonKey>,
    ) -> BTreeMap<PersonKey, Turn<Days>> {
        let mut split: BTreeMap<_, Turn<Days>> = touched
            .keys()
            .map(|person| (person.clone(), Turn::default()))
            .collect();
        for ((person, day), fragments) in self.0 {
            if !whole.contains(&person) && !touched[&person].contains(&day) {
                continue;
            }
            let days = split.entry(person).or_default();
            days.old
                .extend(PersonDay::new(fragments.old).map(|facts| (day, facts)));
            days.new
                .extend(PersonDay::new(fragments.new).map(|facts| (day, facts)));
        }
        split
    }
}

fn visitors(loaded: &Loaded) -> BTreeSet<&str> {
    let of_days = loaded.days.keys().map(|(stream, _)| stream.anonymous_id.as_str());
    of_days.filter(|visitor| !visitor.is_empty()).collect()
}

fn by_day(days: &Days) -> BTreeMap<Day, Vec<Session>> {
    let pieces = days
        .iter()
        .flat_map(|(day, facts)| facts.pieces.iter().map(|piece| (*day, piece)));
    let mut by_day = BTreeMap::<_, Vec<_>>::new();
    for session in sessions(pieces) {
        by_day.entry(session.day).or_default().push(session);
    }
    by_day
}

fn part<'a>(facts: &'a PersonDay, sessions: Option<&Vec<Session>>) -> DayPart<'a> {
    let sessions = sessions.map(Vec::as_slice).unwrap_or_default();
    DayPart {
        facts,
        sessions: sessions.len() as i64,
        session_time: sessions
            .iter()
            .map(|session| session.piece.ended - session.piece.started)
            .sum(),
    }
}

/// One person before and after.
struct Delta<'a> {
    person: &'a PersonKey,
    days: &'a Turn<Days>,
    sessions: &'a Turn<BTreeMap<Day, Vec<Session>>>,
    old: &'a PersonState,
    /// The day for which the transitions were written last.
    viewed_on: Option<Day>,
    new: &'a PersonState,
    today: Day,
}

impl Delta<'_> {
    fn write(&self, changes: &mut Changes) {
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
