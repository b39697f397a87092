//! Any text as one event: no panic, what is accepted comes back from the wire, what is refused can be kept
//! and replayed with the same fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momsflow::config::IpPolicy;
use momsflow::event::wire::{self, WireRecord};
use momsflow::event::{Client, Defaults, EventKind, Origin, Policy, Scope, decode, rejection, replay};

fuzz_target!(|input: (&str, bool, bool)| {
    let (raw, trusted, imported) = input;
    let policy = Policy {
        max_event: 64 * 1024,
        ip: IpPolicy::Truncate,
        redact: vec!["email".to_owned()],
        backdate_from: "2000-01-01T00:00:00Z".parse().unwrap(),
        userprints: None,
    };
    let scope = Scope {
        source: "fuzz",
        trusted,
        kind: (!imported).then_some(EventKind::Page),
        origin: if imported { Origin::Imported } else { Origin::Live },
        may_backdate: imported,
        received_at: "2027-01-15T08:00:00Z".parse().unwrap(),
        defaults: Defaults::default(),
        client: Client::default(),
        policy: &policy,
    };
    match decode(raw, &scope) {
        Ok(decoded) => {
            let bytes = wire::encode_event(&decoded.event);
            assert_eq!(wire::decode(&bytes), Ok(WireRecord::Event(Box::new(decoded.event))));
        }
        Err(reject) => {
            let kept = rejection(raw.as_bytes(), &scope, &reject);
            let bytes = wire::encode_rejection(&kept);
            assert_eq!(wire::decode(&bytes), Ok(WireRecord::Rejection(Box::new(kept.clone()))));
            let _ = replay(&kept, &policy);
        }
    }
});
