//! What somebody does in a visit, from the first page to the last.

mod content;

use rand::Rng as _;
use rand::SeedableRng as _;

use super::articles::log_normal;
use super::calendar::{MINUTE, SECOND};
use super::client::{Channel, REFERRALS, SEARCHES, SOCIALS};
use super::event::{Event, Ids, PRODUCTS, Page, What};
use super::habits::habit;
use super::people::{Kind, Person, State};
use super::random::Random;
use super::topics::{TOPICS, Topic};
use super::visit::{Errand, Visit};
use super::world::World;

/// Articles a visit, at the most.
const DEEPEST: u32 = 12;
/// A visit of the same person begins no sooner than this after the last one, so that sessions can be told apart.
const APART: i64 = 45 * MINUTE;
/// How long a robot looks at a page.
const CRAWL: std::ops::Range<i64> = 800..6_000;

/// Plays a visit: appends what happens to `events`, and gives what the person is like afterwards.
pub(super) fn play(world: &World, visit: &Visit, events: &mut Vec<Event>) -> State {
    let person = &world.people[visit.person as usize];
    let mut session = Session {
        world,
        person,
        number: visit.person,
        state: person.state,
        at: visit.at,
        random: Random::seed_from_u64(visit.seed),
        device: 0,
        ids: Ids::Visitor,
        entry: None,
        page: Page::Nowhere,
        opened: Vec::new(),
        events,
    };
    match visit.purpose {
        Errand::Read => session.read(None, None),
        Errand::Mail {
            newsletter,
            issue,
            clicks,
        } => session.mail(newsletter, issue, clicks),
        Errand::Pass { article } => session.pass(article),
        Errand::Crawl { pages } => session.crawl(pages),
        Errand::Publish { article } => session.on_a_server(What::Published(article)),
        Errand::Withdraw { article } => session.on_a_server(What::Unpublished(article)),
    }
    session.state
}

struct Session<'a> {
    world: &'a World,
    person: &'a Person,
    number: u32,
    state: State,
    at: i64,
    random: Random,
    device: u8,
    ids: Ids,
    entry: Option<Channel>,
    page: Page,
    /// Of this visit: nothing is opened twice in one.
    opened: Vec<u32>,
    events: &'a mut Vec<Event>,
}

impl Session<'_> {
    fn read(&mut self, came_by: Option<Channel>, landing: Option<u32>) {
        self.state.visits = self.state.visits.saturating_add(1);
        let channel = came_by.unwrap_or_else(|| self.channel());
        self.entry = Some(channel);
        self.choose_device();
        let lands_at_home = landing.is_none() && channel == Channel::Direct && self.random.random_bool(0.6);
        if lands_at_home {
            self.open(Page::Home);
            self.log_in();
            let seconds = log_normal(&mut self.random, 9.0, 0.7).clamp(2.0, 90.0) as u16;
            self.engage(None, seconds);
        }
        let depth = self.depth();
        let mut next = landing;
        for nth in 0..depth {
            if self.random.random_bool(0.06) {
                self.search();
                self.log_in();
            }
            let Some(article) = next.take().or_else(|| self.choose()) else {
                continue;
            };
            self.look_at(article);
            self.log_in();
            self.sign_up();
            next = if nth + 1 < depth {
                self.recommendation(article)
            } else {
                None
            };
        }
        self.subscribe();
        self.order();
        self.state.free_at = self.at + APART;
    }

    fn mail(&mut self, newsletter: u8, issue: u32, clicks: bool) {
        self.ids = Ids::User;
        self.tell(What::Opened { newsletter, issue });
        if !clicks {
            return;
        }
        self.wait(4.0, 60.0);
        if let Some(article) = self.choose() {
            self.tell(What::Clicked {
                newsletter,
                issue,
                article,
            });
            self.at += SECOND;
            self.read(Some(Channel::Newsletter(newsletter)), Some(article));
        }
    }

    fn pass(&mut self, article: u32) {
        self.entry = Some(Channel::Social(0));
        self.state.visits += 1;
        self.open(Page::Article(article));
        self.tell(What::Viewed(article));
        let seconds = log_normal(&mut self.random, 20.0, 0.8).clamp(2.0, 200.0) as u16;
        self.engage(Some(article), seconds);
    }

    fn crawl(&mut self, pages: u16) {
        self.entry = Some(Channel::Direct);
        for _ in 0..pages {
            let Some(article) = self.choose() else { continue };
            self.open(Page::Article(article));
            self.tell(What::Viewed(article));
            self.entry = None;
            self.at += self.random.random_range(CRAWL);
        }
    }

    fn on_a_server(&mut self, what: What) {
        self.ids = Ids::User;
        self.push(what, None);
    }

    fn channel(&mut self) -> Channel {
        let drawn: f64 = self.random.random();
        let (direct, search, social) = match self.person.kind {
            Kind::Lurker => (0.15, 0.7, 0.93),
            Kind::RecipeReader => (0.45, 0.85, 0.95),
            Kind::NewsSkimmer => (0.5, 0.62, 0.95),
            _ => (0.68, 0.85, 0.95),
        };
        if drawn < direct {
            Channel::Direct
        } else if drawn < search {
            Channel::Search(self.random.random_range(0..SEARCHES))
        } else if drawn < social {
            Channel::Social(self.random.random_range(0..SOCIALS))
        } else {
            Channel::Referral(self.random.random_range(0..REFERRALS))
        }
    }

    /// Which device it is, and whether that is signed in. The first visit of a member from before is, so that each
    /// member's first device is known; of another device that holds after the log-in on it.
    fn choose_device(&mut self) {
        let is_known = self.state.is_member;
        let is_old_member = self.person.joins_at == Some(0) && !is_known;
        self.state.is_member |= is_old_member;
        let takes_second = is_known && self.person.has_two && self.random.random_bool(0.35);
        self.device = u8::from(takes_second);
        let is_signed_in = match (takes_second, is_known) {
            (true, _) => self.state.knows_second,
            (false, true) => self.ids == Ids::User || self.random.random_bool(0.92),
            (false, false) => is_old_member,
        };
        self.ids = if is_signed_in { Ids::Both } else { Ids::Visitor };
    }

    /// On a second device, for ever. After the first page, whichever it is: no device is left without.
    fn log_in(&mut self) {
        if self.device == 1 && !self.state.knows_second {
            self.wait(3.0, 20.0);
            self.ids = Ids::Both;
            self.state.knows_second = true;
            self.tell(What::Identify);
        }
    }

    fn sign_up(&mut self) {
        let is_due = self
            .person
            .joins_at
            .is_some_and(|visit| visit <= self.state.visits);
        if is_due && !self.state.is_member {
            self.wait(5.0, 40.0);
            self.ids = Ids::Both;
            self.state.is_member = true;
            self.tell(What::Identify);
            self.at += SECOND / 5;
            self.tell(What::SignedUp);
        }
    }

    fn subscribe(&mut self) {
        let is_due = self
            .person
            .subscribes_at
            .is_some_and(|visit| visit <= self.state.visits);
        if is_due && self.ids == Ids::Both && !self.state.is_subscriber {
            self.wait(3.0, 30.0);
            self.state.is_subscriber = true;
            self.tell(What::Subscribed(self.person.newsletter));
        }
    }

    fn order(&mut self) {
        if self.person.kind == Kind::Buyer && self.ids == Ids::Both && self.random.random_bool(0.2) {
            self.wait(60.0, 300.0);
            let product = self.random.random_range(0..PRODUCTS.len()) as u8;
            self.state.orders += 1;
            let number = self.state.orders;
            self.tell(What::Ordered { product, number });
        }
    }

    fn depth(&mut self) -> u32 {
        let goes_on = 1.0 - 1.0 / habit(self.person.kind).depth;
        let mut depth = 1;
        while depth < DEEPEST && self.random.random_bool(goes_on) {
            depth += 1;
        }
        depth
    }

    fn topic(&mut self) -> Topic {
        let drawn: f64 = self.random.random();
        if matches!(self.person.kind, Kind::Bot) || drawn > 0.88 {
            return self.random.random_range(0..TOPICS.len()) as Topic;
        }
        self.person.topics[usize::from(drawn > 0.63)]
    }

    fn choose(&mut self) -> Option<u32> {
        let wish = (self.person.language, self.topic());
        let world = self.world;
        let (opened, recent) = (&self.opened, &self.state.recent);
        let is_known = |article| opened.contains(&article) || recent.contains(&Some(article));
        world
            .shelves
            .pick(&world.articles, wish, self.at, &mut self.random, is_known)
    }

    fn search(&mut self) {
        let (topic, language) = (self.topic(), self.person.language);
        let number = self.random.random_range(0..3);
        if self.page == Page::Nowhere {
            self.open(Page::Home);
        }
        self.tell(What::Searched {
            topic,
            language,
            number,
        });
        self.wait(2.0, 15.0);
    }

    /// Opens a page; all but the first of a visit come from within the site.
    fn open(&mut self, page: Page) {
        if self.page != Page::Nowhere {
            self.entry = None;
        }
        self.page = page;
        self.tell(What::Page);
        self.at += self.random.random_range(20..120);
    }

    fn wait(&mut self, least: f64, most: f64) {
        self.at += (self.random.random_range(least..most) * SECOND as f64) as i64;
    }

    fn tell(&mut self, what: What) {
        self.push_at(what, self.at);
    }

    fn push_at(&mut self, what: What, at: i64) {
        let agent = self.person.devices[self.device as usize];
        self.push(what, Some(agent));
        if let Some(event) = self.events.last_mut() {
            event.at = at;
        }
    }

    fn push(&mut self, what: What, agent: Option<u8>) {
        self.events.push(Event {
            at: self.at,
            person: self.number,
            agent,
            device: self.device,
            ids: self.ids,
            entry: self.entry,
            page: self.page,
            what,
        });
    }
}
