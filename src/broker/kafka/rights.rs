//! What this client may do with the topic, by the cluster's own word.

use super::access::Access;
use super::finding::Finding;

/// What a process wants to do with the topic.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Bytes of an event at the most.
    pub max_event: u64,
    pub appends: bool,
    pub fetches: bool,
}

impl Needs {
    /// Those of a process that does all there is to do.
    pub fn all(max_event: u64) -> Self {
        Self {
            max_event,
            appends: true,
            fetches: true,
        }
    }
}

/// Bits by Kafka's numbers of operations. A cluster that says nothing of them lets who asks find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights(Option<i32>);

impl Rights {
    const READ: i32 = 3;
    const WRITE: i32 = 4;

    pub(super) fn of(operations: i32) -> Self {
        Self((operations != i32::MIN).then_some(operations))
    }

    fn lacks(self, operation: i32) -> bool {
        self.0.is_some_and(|known| known & (1 << operation) == 0)
    }

    /// Names the rights that are needed and not there.
    pub(super) fn lacking(self, needs: Needs, topic: &str, access: &Access) -> Option<Finding> {
        let wanted = [
            (needs.appends, Self::WRITE, "write to", "Write"),
            (needs.fetches, Self::READ, "read", "Read"),
        ];
        let lacking = wanted
            .iter()
            .filter(|(is_needed, operation, ..)| *is_needed && self.lacks(*operation));
        let (verbs, names): (Vec<_>, Vec<_>) = lacking.map(|(_, _, verb, name)| (*verb, *name)).unzip();
        let user = user(access);
        (!names.is_empty()).then(|| {
            Finding::fatal(
                format!("{user} may not {} the topic {topic}", verbs.join(" nor ")),
                format!("allow {user} {} on it", names.join(" and ")),
            )
        })
    }
}

/// For a topic that the cluster does not even show.
pub(super) fn not_visible(topic: &str, access: &Access) -> Finding {
    let user = user(access);
    Finding::fatal(
        format!("{user} may not see the topic {topic}"),
        format!(
            "allow {user} Describe, DescribeConfigs, Read (capture) and Write (ingest, replays) on it, and Create where it \
             is to be made"
        ),
    )
}

fn user(access: &Access) -> &str {
    access.sasl.as_ref().map_or("this client", |sasl| &sasl.username)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_rights_that_are_needed_and_lacking_are_named() {
        let access = Access {
            brokers: Vec::new(),
            tls: None,
            sasl: None,
        };
        let lacking = |operations, appends, fetches| {
            let needs = Needs {
                appends,
                fetches,
                max_event: 0,
            };
            let finding = Rights::of(operations).lacking(needs, "events", &access);
            finding.map(|finding| finding.remedy)
        };
        let (read, write, describe) = (1 << 3, 1 << 4, 1 << 8);
        assert_eq!(lacking(read | write, true, true), None);
        assert_eq!(lacking(read, false, true), None);
        assert_eq!(
            lacking(read, true, true).unwrap(),
            "allow this client Write on it"
        );
        assert_eq!(
            lacking(describe, true, true).unwrap(),
            "allow this client Write and Read on it"
        );
        assert_eq!(lacking(i32::MIN, true, true), None, "unknown");
    }
}
