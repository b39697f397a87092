//! Any query, body and `data` as a hit: no panic, what is made is one JSON object that decoding can take, and of nobody it
//! keeps no id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use momsflow::config::IpPolicy;
use momsflow::event::{
    Client, Defaults, Hit, HitParts, Origin, Policy, Scope, decode, hit_data, hit_text,
};
use momsflow::userprint::State;

type Input<'a> = (Vec<(String, String)>, Option<&'a str>, Option<&'a str>, bool, bool);

fuzz_target!(|input: Input| {
    let (query, body, referer, has_person, is_data) = input;
    let unpacked = match (body, is_data) {
        (Some(data), true) => match hit_data(data) {
            Ok(text) => Some(text),
            Err(_) => return,
        },
        (body, _) => body.map(str::to_owned),
    };
    let parts = HitParts {
        query: &query,
        body: unpacked.as_deref(),
        referer,
        has_person,
    };
    let Ok(Some(text)) = hit_text(&parts) else { return };
    let policy = Policy {
        max_event: 64 * 1024,
        ip: IpPolicy::Truncate,
        redact: Vec::new(),
        backdate_from: "2000-01-01T00:00:00Z".parse().unwrap(),
        userprints: None,
    };
    let state = if has_person { State::Forged } else { State::Optout };
    let scope = Scope {
        source: "pixel",
        trusted: false,
        kind: None,
        origin: Origin::Live,
        may_backdate: false,
        received_at: "2027-01-15T08:00:00Z".parse().unwrap(),
        defaults: Defaults::default(),
        client: Client {
            hit: Some(Hit {
                userprint: None,
                state,
                prefetch: false,
            }),
            ..Client::default()
        },
        policy: &policy,
    };
    if let Ok(decoded) = decode(&text, &scope) {
        let event = decoded.event;
        let has_id = [event.user_id, event.anonymous_id, event.group_id, event.previous_id]
            .iter()
            .any(Option::is_some);
        assert!(has_person || !has_id, "{text}");
    }
});
