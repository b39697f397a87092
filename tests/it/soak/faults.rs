//! The schedule of faults, from a seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;

use super::host::{Host, signal, tail};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillServe,
    KillPostmaster,
    /// One process of PostgreSQL's, whichever.
    KillBackend,
    KillBoth,
    FreezePostgres,
    FreezeServe,
    TerminateServe,
}

/// By how often they come.
const FAULTS: [Fault; 14] = [
    Fault::KillServe,
    Fault::KillServe,
    Fault::KillServe,
    Fault::KillServe,
    Fault::KillPostmaster,
    Fault::KillPostmaster,
    Fault::KillPostmaster,
    Fault::KillBackend,
    Fault::KillBackend,
    Fault::KillBoth,
    Fault::FreezePostgres,
    Fault::FreezeServe,
    Fault::TerminateServe,
    Fault::TerminateServe,
];

/// Longer than the default `shutdown_deadline`.
const STOP_PATIENCE: Duration = Duration::from_secs(45);

/// A start that takes longer is shown with what momsflow said.
const SLOW_START: Duration = Duration::from_secs(4);

pub struct Faults {
    rng: StdRng,
    pub done: BTreeMap<Fault, u32>,
    /// What must not happen upon a fault.
    pub complaints: Vec<String>,
    begun: Instant,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            done: BTreeMap::new(),
            complaints: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// Strikes again and again for a while; then lets everything come up again.
    pub async fn strike(&mut self, host: &mut Host, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            // Mostly with time to get going, now and then in the middle of a start.
            let longest = if self.rng.random_ratio(1, 4) { 300 } else { 2_500 };
            let pause = self.rng.random_range(0..longest);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let fault = *FAULTS.choose(&mut self.rng).unwrap();
            self.cause(host, fault).await;
            println!("{:6.1?} s {fault:?}", self.begun.elapsed().as_secs_f32());
            *self.done.entry(fault).or_default() += 1;
            if let Some(status) = host.exited() {
                let said = tail(&host.log(), 8);
                self.complaints.push(format!(
                    "momsflow ended by itself ({status}) around {fault:?}:\n{said}"
                ));
            }
            if host.pid().is_none() {
                self.bring_up(host).await;
            }
        }
        if host.pid().is_none() {
            host.start().await;
        }
    }

    /// Mostly waits until it answers; else the next fault hits the start.
    async fn bring_up(&mut self, host: &mut Host) {
        if self.rng.random_ratio(1, 4) {
            host.launch();
        } else {
            let begun = Instant::now();
            host.start().await;
            println!("         answers again after {:.1?}", begun.elapsed());
            if begun.elapsed() > SLOW_START {
                println!("{}", tail(&host.log(), 16));
            }
        }
    }

    async fn cause(&mut self, host: &mut Host, fault: Fault) {
        match fault {
            Fault::KillServe => host.kill(),
            Fault::KillPostmaster => kill(host.postmaster()),
            Fault::KillBackend => {
                let postmaster = host.postmaster();
                let backends: Vec<_> = host
                    .postgres()
                    .into_iter()
                    .filter(|pid| Some(*pid) != postmaster)
                    .collect();
                kill(backends.choose(&mut self.rng).copied());
            }
            Fault::KillBoth => {
                kill(host.postmaster());
                host.kill();
            }
            Fault::FreezePostgres => {
                let pids = host.postgres();
                self.freeze(&pids).await;
            }
            Fault::FreezeServe => {
                let pids: Vec<_> = host.pid().into_iter().collect();
                self.freeze(&pids).await;
            }
            Fault::TerminateServe => {
                let status = host.terminate(STOP_PATIENCE).await;
                if host.pid().is_some() || status.is_some_and(|status| status.code() == Some(101)) {
                    self.complaints
                        .push(format!("SIGTERM: {status:?}\n{}", tail(&host.log(), 8)));
                }
            }
        }
    }

    async fn freeze(&mut self, pids: &[i32]) {
        for pid in pids {
            signal(*pid, Signal::STOP);
        }
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(200..1_500))).await;
        for pid in pids {
            signal(*pid, Signal::CONT);
        }
    }
}

fn kill(pid: Option<i32>) {
    if let Some(pid) = pid {
        crate::support::kill(pid);
    }
}
