//! Steps against each other, and against the definitions written down as plainly as can be.

#![allow(clippy::unwrap_used)]

mod plain;
mod shelf;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use self::shelf::Shelf;
use super::step::{Batch, Frame, step};
use super::{Act, Arrival, Content, Day, Shares, Verb, Zone};

const START: i64 = 1_790_000_000;
const VISITORS: [&str; 3] = ["a1", "a2", "a3"];
const USERS: [&str; 2] = ["ada", "bob"];
const CONTENTS: [&str; 3] = ["c1", "c2", "c3"];
const VERBS: [Verb; 10] = [
    Verb::Viewed,
    Verb::Read,
    Verb::Completed,
    Verb::Engaged,
    Verb::Shared,
    Verb::Commented,
    Verb::Ordered,
    Verb::Subscribed,
    Verb::Unsubscribed,
    Verb::Page,
];

/// What happens, in the order in which it becomes known.
#[derive(Clone, Debug)]
enum Happening {
    Act(Box<Act>),
    Revocation(&'static str, &'static str),
    /// A batch ends here, and this many days have passed since the one before.
    Border(i32),
}

fn zone() -> Zone {
    static ZONE: LazyLock<Zone> = LazyLock::new(|| Zone::named("Europe/Berlin").unwrap());
    ZONE.clone()
}

fn act() -> impl Strategy<Value = Act> {
    // Minutes over some days, so that sessions touch, meet at midnight and grow together.
    let minute =
        prop_oneof![3 => 0..4 * 1440_i64, 1 => 60 * 1440..61 * 1440_i64, 1 => 200 * 1440..201 * 1440_i64];
    let ids = (
        prop::option::weighted(0.8, 0..3_usize),
        prop::option::weighted(0.4, 0..2_usize),
    );
    let what = (
        0..VERBS.len(),
        0..CONTENTS.len(),
        0..200_u32,
        0..3_usize,
        0..3_usize,
    );
    (minute, ids, what, any::<u128>()).prop_map(
        |(minute, (visitor, user), (verb, content, seconds, author, topic), id)| {
            let at = Timestamp::from_second(START + minute * 60).unwrap();
            let (day, hour) = zone().day_and_hour(at);
            let (visitor, user) = match (visitor, user) {
                (None, None) => (Some(0), None),
                ids => ids,
            };
            let anonymous_id = visitor.map(|visitor| VISITORS[visitor].to_owned());
            let user_id = user.map(|user| USERS[user].to_owned());
            Act {
                at,
                id: Uuid::from_u128(id),
                day,
                hour,
                joins: anonymous_id.clone().zip(user_id.clone()).into_iter().collect(),
                anonymous_id,
                user_id,
                verb: VERBS[verb],
                content: (VERBS[verb] != Verb::Engaged || author > 0).then(|| Content {
                    id: CONTENTS[content].to_owned(),
                    kind: None,
                    title: None,
                    author: (author > 0).then(|| format!("author{author}")),
                    topics: (0..topic).map(|topic| format!("topic{topic}")).collect(),
                    language: None,
                    word_count: None,
                }),
                engaged_seconds: seconds,
                revenue: i64::from(seconds) * 10_000,
                arrival: Arrival {
                    channel: ["direct", "search", ""][author].to_owned(),
                    landing_path: (topic > 0).then(|| format!("/{topic}")),
                    device: Some(["mobile", "desktop", "tablet"][topic].to_owned()),
                    ..Arrival::default()
                },
            }
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => act().prop_map(|act| Happening::Act(Box::new(act))),
        1 => (0..3_usize, 0..2_usize).prop_map(|(visitor, user)| Happening::Revocation(VISITORS[visitor], USERS[user])),
        3 => prop_oneof![Just(0), 0..40].prop_map(Happening::Border),
    ]
}

fn shares() -> Shares {
    Shares {
        topics: [("topic0".to_owned(), 0.7), ("topic1".to_owned(), 0.3)].into(),
        authors: [("author1".to_owned(), 1.0)].into(),
    }
}

async fn take(shelf: &mut Shelf, batch: Batch, today: Day) {
    let (zone, shares) = (zone(), shares());
    let frame = Frame {
        today,
        zone: &zone,
        shares: &shares,
    };
    let changes = step(shelf, batch, frame).await.unwrap();
    shelf.write(changes, today);
}

/// Everybody's row as of a day, as the runs do it that find nothing else to do.
async fn sweep(shelf: &mut Shelf, today: Day) {
    let due = shelf.due(today);
    if !due.is_empty() {
        let batch = Batch {
            due,
            ..Batch::default()
        };
        take(shelf, batch, today).await;
    }
}

/// Takes what happened batch by batch, as time passes.
async fn by_steps(happenings: &[Happening], first_day: Day) -> (Shelf, Day) {
    let (mut shelf, mut batch, mut today) = (Shelf::default(), Batch::default(), first_day);
    for happening in happenings {
        match happening {
            Happening::Act(act) => batch.acts.push((**act).clone()),
            Happening::Revocation(visitor, user) => {
                batch.revoked.insert(((*visitor).to_owned(), (*user).to_owned()));
            }
            Happening::Border(days) => {
                take(&mut shelf, std::mem::take(&mut batch), today).await;
                today = today.plus(*days);
                sweep(&mut shelf, today).await;
            }
        }
    }
    take(&mut shelf, batch, today).await;
    sweep(&mut shelf, today).await;
    (shelf, today)
}

fn everything(happenings: &[Happening]) -> (Vec<Act>, BTreeSet<(String, String)>) {
    let mut acts = Vec::new();
    let mut revoked = BTreeSet::new();
    for happening in happenings {
        match happening {
            Happening::Act(act) => acts.push((**act).clone()),
            Happening::Revocation(visitor, user) => {
                revoked.insert(((*visitor).to_owned(), (*user).to_owned()));
            }
            Happening::Border(_) => {}
        }
    }
    (acts, revoked)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("MOMSFLOW_VIEWS_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(100),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn many_small_steps_come_to_what_one_large_step_comes_to(happenings in prop::collection::vec(happening(), 1..40)) {
        let first_day = zone().day(Timestamp::from_second(START).unwrap());
        let (stepped, today) = block_on(by_steps(&happenings, first_day));
        let (mut acts, revoked) = everything(&happenings);
        acts.reverse();
        let mut whole = Shelf::default();
        block_on(take(&mut whole, Batch { acts, revoked, due: Vec::new() }, today));
        stepped.assert_same(&whole)?;
    }

    #[test]
    fn steps_come_to_what_the_definitions_say(happenings in prop::collection::vec(happening(), 1..40)) {
        let first_day = zone().day(Timestamp::from_second(START).unwrap());
        let (stepped, today) = block_on(by_steps(&happenings, first_day));
        let (acts, revoked) = everything(&happenings);
        plain::check(&stepped, &acts, &revoked, today)?;
    }
}
