use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_distr::{Distribution as _, LogNormal};

use super::calendar::{Calendar, Day, HOUR, MINUTE};
use super::random::{Purpose, Random, stream};
use super::topics::{FOOD, LANGUAGE_SHARES, LANGUAGES, Language, RECIPES, TOPICS, Topic, title};

/// Milliseconds of a day without a change of the clock.
const DAY: f64 = (24 * HOUR) as f64;
/// Articles are there from so many days before the world's first.
pub(super) const BACKLOG_DAYS: i32 = 30;
/// What is read of an article in its last days is no longer offered.
const FORGOTTEN: f64 = 0.004;
/// How often somebody looks along a shelf before the visit goes on without.
const LOOKS: usize = 6;

/// Something to read or to watch.
#[derive(Debug)]
pub(super) struct Article {
    pub(super) topics: Vec<Topic>,
    pub(super) language: Language,
    /// A person's number.
    pub(super) author: u32,
    pub(super) is_video: bool,
    /// Words of an article, seconds of a video.
    pub(super) length: u16,
    pub(super) published_at: i64,
    /// Taken away again; `i64::MAX` for never.
    pub(super) withdrawn_at: i64,
    quality: f64,
    /// Days after which half as many want it.
    half_life: f64,
    /// `content_id` and all else that its events say of it: members of a JSON object.
    pub(super) members: String,
    pub(super) path: String,
    /// As a JSON string.
    pub(super) title: String,
}

impl Article {
    /// How much it is wanted at a moment.
    fn pull(&self, at: i64) -> f64 {
        let age = (at - self.published_at).max(0) as f64 / DAY;
        let freshness = (-age / self.half_life).exp2();
        if self.withdrawn_at <= at || freshness < FORGOTTEN {
            return 0.0;
        }
        self.quality * freshness
    }
}

/// Writes all articles of a world, in the order in which they are published.
pub(super) fn write_all(
    seed: u64,
    tag: &str,
    count: u32,
    calendar: &Calendar,
    days: i32,
    authors: &[u32],
) -> Vec<Article> {
    let mut random = stream(seed, Purpose::Articles, 0, 0);
    let span = days + BACKLOG_DAYS;
    let mut moments: Vec<i64> = (0..count)
        .map(|number| {
            // Evenly, so that a small world has something new each day too.
            let day = i64::from(number) * i64::from(span) / i64::from(count.max(1)) - i64::from(BACKLOG_DAYS);
            let day = calendar.day(i32::try_from(day).unwrap_or_default());
            day.at(random.random_range(5..19), random.random_range(0.0..60.0))
        })
        .collect();
    moments.sort_unstable();
    let mut written = [[0; LANGUAGES.len()]; TOPICS.len()];
    let article = |(number, published_at)| {
        let author = authors.choose(&mut random).copied().unwrap_or_default();
        write(&mut random, tag, number, published_at, author, &mut written)
    };
    moments.into_iter().enumerate().map(article).collect()
}

fn write(
    random: &mut Random,
    tag: &str,
    number: usize,
    published_at: i64,
    author: u32,
    written: &mut [[u32; LANGUAGES.len()]; TOPICS.len()],
) -> Article {
    let topic = random.random_range(0..TOPICS.len()) as Topic;
    let mut topics = vec![topic];
    if random.random_bool(0.3) {
        let second = random.random_range(0..TOPICS.len()) as Topic;
        topics.extend((second != topic).then_some(second));
    }
    let language = language(random);
    let is_video = random.random_bool(0.1);
    let length = if is_video {
        random.random_range(45..420)
    } else {
        log_normal(random, 650.0, 0.55).clamp(120.0, 4_000.0) as u16
    };
    let nth = &mut written[topic as usize][language as usize];
    let title = serde_json::Value::from(title(topic, language, *nth)).to_string();
    *nth += 1;
    let withdrawn = random
        .random_bool(0.01)
        .then(|| published_at + random.random_range(2..20) * 24 * HOUR + 11 * MINUTE);
    let id = format!("{tag}-a{number}");
    Article {
        members: members(&id, &title, is_video, &topics, language, length, author, tag),
        path: format!("/articles/{id}"),
        title,
        language,
        author,
        is_video,
        length,
        published_at,
        withdrawn_at: withdrawn.unwrap_or(i64::MAX),
        quality: log_normal(random, 1.0, 0.8),
        half_life: match topic {
            RECIPES => 20.0,
            FOOD => 4.0,
            _ => 0.9,
        },
        topics,
    }
}

#[expect(clippy::too_many_arguments)] // one a member
fn members(
    id: &str,
    title: &str,
    is_video: bool,
    topics: &[Topic],
    language: Language,
    length: u16,
    author: u32,
    tag: &str,
) -> String {
    let kind = if is_video { "video" } else { "article" };
    let measure = if is_video {
        "duration_seconds"
    } else {
        "word_count"
    };
    let topics: Vec<_> = topics
        .iter()
        .map(|topic| format!("\"{}\"", TOPICS[*topic as usize]))
        .collect();
    format!(
        "\"content_id\":\"{id}\",\"content_type\":\"{kind}\",\"title\":{title},\"author_id\":\"{}\",\
         \"author\":\"{}\",\"topics\":[{}],\"language\":\"{}\",\"{measure}\":{length}",
        author_id(tag, author),
        author_name(author),
        topics.join(","),
        LANGUAGES[language as usize].0,
    )
}

pub(super) fn author_id(tag: &str, author: u32) -> String {
    format!("{tag}-w{author}")
}

pub(super) fn author_name(author: u32) -> String {
    const FIRST: [&str; 14] = [
        "Ada", "Bram", "Chloé", "Dilan", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jakub", "Keiko", "Lior",
        "Mira", "Noor",
    ];
    const LAST: [&str; 13] = [
        "Abel", "Brandt", "Costa", "Dupont", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Janssen",
        "Kowalska", "Laurent", "Moreau",
    ];
    let author = author as usize;
    format!("{} {}", FIRST[author % FIRST.len()], LAST[author % LAST.len()])
}

pub(super) fn language(random: &mut Random) -> Language {
    let drawn = random.random_range(0..100);
    let mut until = 0;
    for (language, share) in LANGUAGE_SHARES.iter().enumerate() {
        until += share;
        if drawn < until {
            return language as Language;
        }
    }
    0
}

/// Around a median, `spread` being the deviation of the logarithm.
pub(super) fn log_normal(random: &mut Random, median: f64, spread: f64) -> f64 {
    match LogNormal::new(median.ln(), spread) {
        Ok(distribution) => distribution.sample(random),
        Err(_) => median,
    }
}

/// What is offered on a day, by language and topic.
#[derive(Debug)]
pub(super) struct Shelves {
    /// Articles with the sum of the pull up to each.
    shelves: Vec<Vec<(f64, u32)>>,
}

impl Shelves {
    pub(super) fn empty() -> Self {
        Self {
            shelves: vec![Vec::new(); LANGUAGES.len() * TOPICS.len()],
        }
    }

    /// Fills them for a day; articles that are still to come on it are taken in already.
    pub(super) fn fill(&mut self, articles: &[Article], day: &Day) {
        self.shelves.iter_mut().for_each(Vec::clear);
        let noon = day.at(12, 0.0);
        for (number, article) in articles.iter().enumerate() {
            if article.published_at >= day.end() {
                break;
            }
            let pull = article.pull(noon);
            if pull > 0.0 {
                let shelf = &mut self.shelves[place(article.language, article.topics[0])];
                let sum = shelf.last().map_or(0.0, |(sum, _)| *sum);
                shelf.push((sum + pull, number as u32));
            }
        }
    }

    /// Takes something from a shelf that is out by then and that `is_known` does not name.
    pub(super) fn pick(
        &self,
        articles: &[Article],
        (language, topic): (Language, Topic),
        at: i64,
        random: &mut Random,
        is_known: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        // Who finds nothing more in the own language reads English.
        [language, 0].into_iter().find_map(|language| {
            let shelf = &self.shelves[place(language, topic)];
            let total = shelf.last()?.0;
            (0..LOOKS).find_map(|_| {
                let drawn = random.random_range(0.0..total);
                let found = shelf.partition_point(|(sum, _)| *sum <= drawn);
                let (_, number) = *shelf.get(found)?;
                let article = &articles[number as usize];
                let is_out = article.published_at <= at && at < article.withdrawn_at;
                (is_out && !is_known(number)).then_some(number)
            })
        })
    }
}

fn place(language: Language, topic: Topic) -> usize {
    language as usize * TOPICS.len() + topic as usize
}
