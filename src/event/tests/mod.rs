#![allow(clippy::unwrap_used, clippy::too_many_lines)] // tables of cases

mod decoding;
mod hits;
mod replaying;
mod scanning;
mod wiring;

use jiff::Timestamp;

use super::{Client, Defaults, Origin, Policy, Scope};
use crate::config::IpPolicy;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy() -> Policy {
    Policy {
        max_event: 256 * 1024,
        ip: IpPolicy::Truncate,
        redact: Vec::new(),
        backdate_from: at("2000-01-01T00:00:00Z"),
        userprints: None,
    }
}

fn scope(policy: &Policy) -> Scope<'_> {
    Scope {
        source: "server",
        trusted: true,
        kind: None,
        origin: Origin::Live,
        may_backdate: false,
        received_at: at("2026-11-24T06:00:00Z"),
        defaults: Defaults::default(),
        client: Client::default(),
        policy,
    }
}

/// Any JSON value, nested a little.
fn any_json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}
