//! Memory and CPU of a serve that has nothing to do, and memory of one that has ten times too much.

use std::time::Duration;

use momsflow::config::Config;

use crate::Sizes;
use crate::load::{Load, Posts};
use crate::process::{KEY, Process};
use crate::report::{Goal, Report};

const MB: f64 = 1e6;
const POSTS: Posts = Posts::Batch(100);
/// What a request of that size is counted with in the in-flight budget: its body, and as much for its records.
const RESERVED: u64 = 2 * 100 * (crate::traffic::EVENT_BYTES as u64 + 256);

/// All roles run; PostgreSQL is not counted.
pub async fn idle(sizes: &Sizes, server: &Process, report: &mut Report) {
    eprintln!("idle");
    tokio::time::sleep(sizes.settle).await;
    let (cpu, wakeups) = (server.cpu(), server.wakeups());
    tokio::time::sleep(sizes.window * 2).await;
    let seconds = sizes.window.as_secs_f64() * 2.0;
    report.add(
        "idle serve, resident",
        server.memory().0 as f64 / MB,
        "MB",
        Goal::AtMost(40.0),
    );
    report.add(
        "idle serve, CPU",
        (server.cpu() - cpu) / seconds * 100.0,
        "% of a core",
        Goal::None,
    );
    report.add(
        "idle serve, context switches",
        (server.wakeups() - wakeups) as f64 / seconds,
        "per s",
        Goal::None,
    );
}

/// As many clients as fill the in-flight budget ten times over, none of which waits when it is refused.
pub async fn overloaded(sizes: &Sizes, server: &Process, report: &mut Report) {
    eprintln!("overload");
    let budget = Config::default().http.in_flight.as_u64();
    let connections = (10 * budget / RESERVED) as usize / sizes.overload_divisor;
    let load = Load {
        address: server.address,
        key: KEY.to_owned(),
        posts: POSTS,
        connections,
        pace: None,
        window: sizes.window * 2,
        may_refuse: true,
    };
    server.forget_peak();
    let outcome = load.run().await;
    let seconds = outcome.took.as_secs_f64();
    let limit = (budget as f64 + 100e6) / MB;
    let name = |what: &str| format!("overload, {connections} connections: {what}");
    report.add(
        &name("accepted"),
        outcome.events_per_second(POSTS),
        "events/s",
        Goal::None,
    );
    report.add(
        &name("refused"),
        outcome.refused as f64 / seconds,
        "requests/s",
        Goal::None,
    );
    report.add(
        &name("no answer"),
        outcome.broken as f64 / seconds,
        "requests/s",
        Goal::None,
    );
    report.add(
        &name("resident at the most"),
        server.memory().1 as f64 / MB,
        "MB",
        Goal::AtMost(limit),
    );
    tokio::time::sleep(sizes.settle + Duration::from_millis(100)).await;
    report.add(
        "after the overload, resident",
        server.memory().0 as f64 / MB,
        "MB",
        Goal::None,
    );
}
