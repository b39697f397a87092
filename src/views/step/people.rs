//! The persons that a step touches.

use std::collections::{BTreeMap, BTreeSet};

use super::Frame;
use super::changes::{Changes, PersonChange};
use super::delta::Delta;
use super::known::{Known, Person};
use super::loaded::{Loaded, Turn};
use super::mine::{Days, Mine};
use super::owners::Owners;
use crate::views::fragment::GAP;
use crate::views::person_day::PersonDay;
use crate::views::session::sessions;
use crate::views::state::DayPart;
use crate::views::{Day, PersonKey, PersonState, Session, UserView, Zone};

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
