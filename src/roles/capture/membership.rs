//! This host among the capture hosts: it says that it lives, renews its leases, and finds out which it shall have.

use std::time::Duration;

use metrics::gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::patience::Patience;
use super::shares::{Plan, Shares};
use super::sharing::share;
use super::trouble::Trouble;
use super::twin::Claim;
use super::{Capture, HostStatus};
use crate::retry::Backoff;
use crate::store::hosts::{HeldLease, Host, HostLink, Neighbours};
use crate::store::lease;
use crate::telemetry::metric;

/// Its name in the health of the process.
pub(super) const PART: &str = "capture leases";
/// What is looked at again when it expires is looked at a moment later, when it surely has.
const MOMENT: Duration = Duration::from_millis(50);
/// How long the others may need to be back after an outage; their attempts are `LONGEST_WAIT` apart.
const SETTLING: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long a stop waits for PostgreSQL to hear of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Keeps a host among the others.
pub(super) struct Membership {
    pub(super) capture: Capture,
    shares: Shares,
    process: Uuid,
    pub(super) claim: Claim,
    has_left: bool,
    /// The log has not answered here for long, while it may answer other hosts.
    is_aside: bool,
    /// When the others last heard of this host.
    heard_at: Instant,
    /// Until when nothing new is taken.
    settled_at: Instant,
}

impl Membership {
    pub(super) fn new(capture: Capture, shares: Shares) -> Self {
        Self {
            capture,
            shares,
            process: Uuid::new_v4(),
            claim: Claim::default(),
            has_left: false,
            is_aside: false,
            heard_at: Instant::now(),
            settled_at: Instant::now(),
        }
    }

    /// Runs until `token` is cancelled; no failure ends it but a living copy of this host. Once `leaving` is cancelled the others are told to share
    /// out what this host had, and leases are only kept for workers that finish.
    pub(super) async fn run(
        mut self,
        leaving: CancellationToken,
        token: CancellationToken,
    ) -> Result<(), String> {
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_WAIT);
        let given_up = async {
            token.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::pin!(given_up);
        loop {
            let stayed = tokio::select! {
                stayed = self.stay(&leaving, &token, &mut backoff) => stayed,
                () = &mut given_up => return Ok(()),
            };
            match stayed {
                Ok(ended) => return ended,
                Err(trouble) => self.report(&trouble),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = token.cancelled() => return Ok(()),
            }
        }
    }

    /// Keeps the host for as long as one connection holds; `Ok` when it shall end, with the reason if it has to.
    async fn stay(
        &mut self,
        leaving: &CancellationToken,
        token: &CancellationToken,
        backoff: &mut Backoff,
    ) -> Result<Result<(), String>, Trouble> {
        let (link, host) = self.patience().within(self.connect()).await?;
        let mut is_known = false;
        loop {
            let is_absent = self.has_left || self.is_aside;
            let is_new = self.claim.is_new();
            let kept = async { Ok(link.keep(&host, &self.shares.held(), is_absent, is_new).await?) };
            let neighbours = self.patience().within(kept).await?;
            backoff.reset();
            self.note_silence();
            if !is_absent && let Some(ended) = self.contest(&host, &neighbours, token).await {
                match ended {
                    Ok(()) => continue,
                    ended => {
                        link.leave(&host).await?;
                        return Ok(ended);
                    }
                }
            }
            if !is_absent && !is_known {
                link.tell().await?;
            }
            is_known = !is_absent;
            self.decide(&host, &neighbours);
            if self.steps_aside(&neighbours) {
                link.leave(&host).await?;
            }
            tokio::select! {
                biased;
                () = leaving.cancelled(), if !self.has_left => {
                    link.leave(&host).await?;
                    self.has_left = true;
                }
                () = token.cancelled() => return Ok(Ok(())),
                () = link.changed() => {}
                () = self.shares.asked() => {}
                () = tokio::time::sleep(self.until_next_look(&neighbours)) => {}
            }
        }
    }

    /// After an outage of PostgreSQL all leases have expired, and the first host that is back would take them all.
    fn note_silence(&mut self) {
        if self.heard_at.elapsed() > self.capture.config.lease {
            self.settled_at = Instant::now() + SETTLING;
        }
        self.heard_at = Instant::now();
    }

    /// Notes whether this host can reach the log; true when it could not for so long that it makes room for others.
    /// It comes back once the log answers: if nobody can reach it, all are aside, and all come back.
    fn steps_aside(&mut self, neighbours: &Neighbours) -> bool {
        let health = &self.capture.health;
        if self.shares.log_silence() <= self.capture.config.lease {
            if self.is_aside {
                info!("the event log answers again");
                self.shares.look_anew();
            }
            self.is_aside = false;
            health.recover(PART);
            return false;
        }
        health.fail(PART, "the event log does not answer");
        if self.is_aside || self.is_alone(neighbours) {
            return false;
        }
        warn!("the event log does not answer, its partitions are left to other hosts");
        self.is_aside = true;
        true
    }

    fn is_alone(&self, neighbours: &Neighbours) -> bool {
        neighbours.hosts.iter().all(|host| host.id == self.capture.owner)
    }

    async fn connect(&self) -> Result<(HostLink, Host), Trouble> {
        let capture = &self.capture;
        let link = HostLink::open(&capture.database).await?;
        let (id, kind) = (capture.log.log_id(), capture.log.kind());
        let host = Host {
            log: lease::register_log(link.client(), id, kind, capture.clock.now()).await?,
            id: capture.owner.clone(),
            name: capture.name.clone(),
            process: self.process,
            place: capture.place.clone(),
            ttl: capture.config.lease,
        };
        Ok((link, host))
    }

    /// Often enough that a lost renewal costs no lease, and as soon as somebody else's word has expired.
    pub(super) fn until_next_look(&self, neighbours: &Neighbours) -> Duration {
        let hosts = neighbours.hosts.iter().map(|host| (&host.id, host.remaining));
        let leases = neighbours.leases.values();
        let leases = leases.filter_map(|lease| Some((&lease.owner, lease.remaining?)));
        hosts
            .chain(leases)
            .filter(|(owner, _)| **owner != self.capture.owner)
            .map(|(_, remaining)| remaining + MOMENT)
            .chain(self.settled_at.checked_duration_since(Instant::now()))
            .fold(self.capture.config.lease / 3, Duration::min)
    }

    fn decide(&self, host: &Host, neighbours: &Neighbours) {
        let partitions = self.capture.log.partitions();
        let mut wanted = share(&host.id, partitions, neighbours);
        if self.is_aside {
            // Nor what it has: its leases would be kept alive by who cannot use them.
            wanted.clear();
        }
        if Instant::now() < self.settled_at {
            wanted.retain(|partition| self.shares.is_wanted(*partition));
        }
        self.show(partitions, neighbours);
        // Who leaves takes nothing new, and the workers know by themselves what to finish.
        if !self.has_left {
            self.shares.decide(Plan {
                log: Some(host.log),
                wanted,
                is_alone: self.is_alone(neighbours),
            });
        }
    }

    /// Puts what was seen into metrics and status.
    fn show(&self, partitions: i32, neighbours: &Neighbours) {
        gauge!(metric::CAPTURE_HOSTS).set(neighbours.hosts.len() as f64);
        let mut hosts: Vec<_> = neighbours
            .hosts
            .iter()
            .map(|host| HostStatus {
                name: host.name.clone(),
                is_this: host.id == self.capture.owner,
                partitions: 0,
            })
            .collect();
        let held = self.shares.held();
        for partition in 0..partitions {
            let lease = neighbours.leases.get(&partition);
            let owner = lease.filter(|lease| lease.remaining.is_some()).map(|lease| {
                let place = neighbours.hosts.iter().position(|host| host.id == lease.owner);
                place.map_or(lease.owner.clone(), |place| {
                    hosts[place].partitions += 1;
                    hosts[place].name.clone()
                })
            });
            self.show_partition(partition, lease, owner, held.contains_key(&partition));
        }
        self.capture.status.set_hosts(hosts);
    }

    fn show_partition(
        &self,
        partition: i32,
        lease: Option<&HeldLease>,
        owner: Option<String>,
        is_held: bool,
    ) {
        let label = partition.to_string();
        let epoch = lease.map(|lease| lease.epoch);
        gauge!(metric::CAPTURE_OWNED, "partition" => label.clone()).set(f64::from(is_held));
        gauge!(metric::CAPTURE_LEASE_EPOCH, "partition" => label).set(epoch.unwrap_or_default() as f64);
        self.capture.status.update(partition, |status| {
            status.owner = owner;
            status.epoch = epoch;
            status.take_overs = lease.map_or(0, |lease| lease.take_overs);
            // Its own worker knows better.
            if let (Some(lease), false) = (lease, is_held) {
                status.next_offset = lease.next_offset;
            }
        });
    }

    fn report(&self, trouble: &Trouble) {
        match trouble {
            Trouble::Paused(reason) => {
                error!(reason, "leases cannot be kept, nothing is lost");
                self.capture.health.fail(PART, format!("paused: {reason}"));
            }
            Trouble::Transient(reason) | Trouble::LogAway(reason) => {
                warn!(reason, "leases cannot be renewed, trying again");
                self.capture.health.fail(PART, reason.as_str());
            }
            Trouble::Fenced => {}
        }
    }

    /// A renewal that takes longer than the lease is worth nothing.
    fn patience(&self) -> Patience {
        Patience::new(self.capture.health.clone(), PART.to_owned()).up_to(self.capture.config.lease)
    }
}
