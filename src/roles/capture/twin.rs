//! Another process with this host's id, or with its embedded log: one data dir is a copy of the other.

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::membership::{Membership, PART};
use crate::store::hosts::{Host, LivingHost, Neighbours};

/// The kind of log that belongs to one process.
const EMBEDDED: &str = "embedded";

/// What is known of this host's right to its id.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The id was this process's at least once.
    is_known: bool,
    /// Who had it when that was first seen, and until when by its word then.
    seen: Option<(String, f64)>,
}

/// Whether the host may go on.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Alone,
    /// The other one may be this host's own past, which died without a word.
    Wait(String),
    /// Both live.
    Cloned(String),
}

impl Claim {
    /// Whether a predecessor in the same data dir may be succeeded without waiting.
    pub(super) fn is_new(&self) -> bool {
        !self.is_known
    }

    /// Judges what the event store knows, after this host has said that it lives.
    pub(super) fn judge(&mut self, host: &Host, kind: &str, neighbours: &Neighbours) -> Verdict {
        // Whoever had the log first stays.
        let is_newcomer = kind == EMBEDDED && !self.is_known;
        let is_twin = |other: &&LivingHost| {
            let is_other = other.process.is_some_and(|process| process != host.process);
            let is_elsewhere = other.place.as_ref() != Some(&host.place);
            is_other && (other.id == host.id || is_newcomer && is_elsewhere)
        };
        let Some(twin) = neighbours.hosts.iter().find(is_twin) else {
            self.is_known = true;
            self.seen = None;
            return Verdict::Alone;
        };
        let now = (twin.name.clone(), twin.expires_at);
        let seen = self.seen.get_or_insert_with(|| now.clone());
        // A word that is renewed is that of somebody who lives, and so is one given while this host had the id.
        if self.is_known || *seen != now {
            return Verdict::Cloned(cloned(&twin.name, kind));
        }
        Verdict::Wait(format!(
            "{} had the id of this data dir until a moment ago; waiting to see whether it lives",
            twin.name
        ))
    }
}

impl Membership {
    /// Waits while it is not clear whether somebody else has this host's id; `None` where nobody has.
    pub(super) async fn contest(
        &mut self,
        host: &Host,
        neighbours: &Neighbours,
        token: &CancellationToken,
    ) -> Option<Result<(), String>> {
        let health = &self.capture.health;
        match self.claim.judge(host, self.capture.log.kind(), neighbours) {
            Verdict::Alone => return None,
            Verdict::Cloned(reason) => {
                health.fail(PART, reason.as_str());
                return Some(Err(reason));
            }
            Verdict::Wait(reason) => {
                info!(reason, "not among the capture hosts yet");
                health.fail(PART, reason);
            }
        }
        tokio::select! {
            () = token.cancelled() => {}
            () = tokio::time::sleep(self.until_next_look(neighbours)) => {}
        }
        Some(Ok(()))
    }
}

fn cloned(twin: &str, kind: &str) -> String {
    let remedy = match kind {
        EMBEDDED => "start the copy with an empty data dir (only write-key may be taken along)",
        _ => "stop the copy, delete instance-id in its data dir, and start it again",
    };
    format!("{twin} runs with the id or the event log of this data dir: one is a copy of the other; {remedy}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    const OWN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn host() -> Host {
        Host {
            log: 1,
            id: "id".to_owned(),
            name: "a:1".to_owned(),
            process: OWN,
            place: "here".to_owned(),
            ttl: Duration::from_secs(10),
        }
    }

    fn seen(id: &str, process: Option<Uuid>, expires_at: f64) -> Neighbours {
        Neighbours {
            hosts: vec![LivingHost {
                id: id.to_owned(),
                name: "b:2".to_owned(),
                process,
                place: Some("there".to_owned()),
                remaining: Duration::from_secs(5),
                expires_at,
            }],
            ..Neighbours::default()
        }
    }

    fn is_cloned(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Cloned(_))
    }

    #[test]
    fn a_predecessor_is_outwaited_and_a_living_twin_is_not() {
        let mut claim = Claim::default();
        let old = seen("id", Some(OTHER), 10.0);
        for _ in 0..3 {
            assert!(matches!(claim.judge(&host(), "kafka", &old), Verdict::Wait(_)));
        }
        let own = seen("id", Some(OWN), 20.0);
        assert_eq!(claim.judge(&host(), "kafka", &own), Verdict::Alone);

        let mut claim = Claim::default();
        assert!(!is_cloned(&claim.judge(&host(), "kafka", &old)));
        let renewed = seen("id", Some(OTHER), 13.0);
        assert!(is_cloned(&claim.judge(&host(), "kafka", &renewed)));
    }

    #[test]
    fn who_loses_its_id_to_another_was_copied() {
        let mut claim = Claim::default();
        claim.judge(&host(), "kafka", &seen("id", Some(OWN), 10.0));
        assert!(is_cloned(&claim.judge(
            &host(),
            "kafka",
            &seen("id", Some(OTHER), 13.0)
        )));
    }

    #[test]
    fn others_are_twins_of_an_embedded_log_only() {
        for (kind, ends) in [("kafka", false), ("embedded", true)] {
            let mut claim = Claim::default();
            claim.judge(&host(), kind, &seen("another", Some(OTHER), 10.0));
            let verdict = claim.judge(&host(), kind, &seen("another", Some(OTHER), 13.0));
            assert_eq!(is_cloned(&verdict), ends, "{kind}");

            let mut first = Claim::default();
            first.judge(&host(), kind, &Neighbours::default());
            for expires_at in [10.0, 13.0] {
                let verdict = first.judge(&host(), kind, &seen("another", Some(OTHER), expires_at));
                assert_eq!(verdict, Verdict::Alone, "{kind}");
            }
        }
        let mut claim = Claim::default();
        assert_eq!(
            claim.judge(&host(), "kafka", &seen("id", None, 10.0)),
            Verdict::Alone
        );
    }
}
