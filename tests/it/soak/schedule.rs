//! What befalls a platform, and when: drawn from a seed before it begins.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::kafka::tcp_proxy::Direction;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillIngest(usize),
    KillCapture(usize),
    /// Longer than its leases, and awake again then.
    FreezeCapture(usize),
    /// The same, in the middle of a COPY.
    FreezeInCopy(usize),
    KillKafka,
    FreezeIngest(usize),
    FreezeKafka,
    /// Away for long; in the middle of it the hosts that take events are killed, with what they spooled.
    StopKafka(Duration),
    KillPostgres,
    /// Connections to Kafka on which nothing comes through any more.
    Hang(Direction),
    Cut,
    /// A slow network to Kafka, cut at its end.
    Delay,
}

/// Its kind in the report.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillIngest(host) => write!(formatter, "kill -9 of ingest {host}"),
            Self::KillCapture(host) => write!(formatter, "kill -9 of capture {host}"),
            Self::FreezeCapture(_) => write!(formatter, "SIGSTOP of a capture beyond its lease"),
            Self::FreezeInCopy(_) => write!(formatter, "SIGSTOP of a capture in the middle of a COPY"),
            Self::FreezeIngest(_) => write!(formatter, "SIGSTOP of an ingest"),
            Self::FreezeKafka => write!(formatter, "SIGSTOP of Kafka"),
            Self::KillKafka => write!(formatter, "kill -9 of Kafka"),
            Self::StopKafka(time) => write!(formatter, "Kafka away for {time:?}, ingest killed meanwhile"),
            Self::KillPostgres => write!(formatter, "kill -9 of PostgreSQL"),
            Self::Hang(direction) => write!(formatter, "network to Kafka hangs ({direction:?})"),
            Self::Cut => write!(formatter, "network to Kafka cut"),
            Self::Delay => write!(formatter, "network to Kafka slow, then cut"),
        }
    }
}

/// A pause, and what comes then.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub pause: Duration,
    pub fault: Fault,
    /// How long who was killed stays dead.
    pub rest: Duration,
}

/// The short schedule has every fault once, the long one every process killed 20 times and all else 5 times, again
/// and again for longer runs.
pub fn schedule(seed: u64, rounds: Option<u32>) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(rounds) = rounds else {
        let mut faults = deck(1, &mut rng);
        faults.push(Fault::StopKafka(Duration::from_secs(6)));
        return steps(faults, 1_200, &mut rng);
    };
    let mut faults = Vec::new();
    for round in 0..rounds {
        let mut deck = deck(4, &mut rng);
        deck.extend([Fault::FreezeIngest(0), Fault::FreezeIngest(1), Fault::FreezeKafka]);
        deck.shuffle(&mut rng);
        if round == 0 {
            deck.insert(
                rng.random_range(0..deck.len()),
                Fault::StopKafka(Duration::from_secs(150)),
            );
        }
        faults.extend(deck);
    }
    steps(faults, 2_500, &mut rng)
}

fn deck(kills: usize, rng: &mut StdRng) -> Vec<Fault> {
    let mut deck = vec![
        Fault::FreezeCapture(rng.random_range(0..2)),
        Fault::FreezeInCopy(rng.random_range(0..2)),
        Fault::KillKafka,
        Fault::KillPostgres,
        Fault::Hang(Direction::Requests),
        Fault::Hang(Direction::Answers),
        Fault::Cut,
        Fault::Delay,
    ];
    for host in 0..2 {
        deck.extend([Fault::KillIngest(host), Fault::KillCapture(host)].repeat(kills));
    }
    deck.shuffle(rng);
    deck
}

fn steps(faults: Vec<Fault>, longest_pause: u64, rng: &mut StdRng) -> Vec<Step> {
    let mut step = |fault| Step {
        pause: Duration::from_millis(rng.random_range(0..longest_pause)),
        fault,
        rest: Duration::from_millis(rng.random_range(0..1_000)),
    };
    faults.into_iter().map(&mut step).collect()
}
