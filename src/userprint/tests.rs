#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Fault, Key, Ring, Standing, Terms, Userprints, Verified, kept};
use crate::config::Secret;

const NOW: &str = "2026-11-24T06:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn key(id: &str, secret: &str, signs_from: &str) -> Key {
    Key::new(id, &Secret::new(secret), signs_from.parse().unwrap())
}

fn ring(ids: &[(&str, &str)]) -> Ring {
    let keys = ids
        .iter()
        .map(|(id, from)| key(id, &format!("secret of {id}"), from));
    Ring::new(keys.collect()).unwrap()
}

fn userprints(ring: Ring, domain: &str) -> Userprints {
    let terms = Terms {
        domain: domain.to_owned(),
        lifetime: days(400),
        renew_after: days(1),
    };
    Userprints::new(ring, terms)
}

#[test]
fn a_cookie_holds_on_its_own_domain_and_no_other() {
    let bound = userprints(ring(&[("k1", "2026-01-01T00:00:00Z")]), "");
    let (id, cookie) = bound.mint("A.example.com:8443", now());
    assert!(cookie.starts_with(&format!("v1.k1.{id}.")), "{cookie}");
    assert!(cookie.len() < 90, "{} bytes go with every request", cookie.len());
    let holds = Ok(Verified { id, is_stale: false });
    assert_eq!(bound.verify(&cookie, "a.example.com", now()), holds);
    assert_eq!(
        bound.verify(&cookie, "b.example.com", now()),
        Err(Fault::WrongTag)
    );
    assert_eq!(bound.verify(&cookie, "", now()), Err(Fault::WrongTag));

    let shared = userprints(ring(&[("k1", "2026-01-01T00:00:00Z")]), "example.com");
    let (id, cookie) = shared.mint("events.example.com", now());
    assert_eq!(shared.verify(&cookie, "www.example.com", now()).unwrap().id, id);
    assert_eq!(
        bound.verify(&cookie, "www.example.com", now()),
        Err(Fault::WrongTag)
    );
}

#[test]
fn a_cookie_is_signed_anew_when_it_is_old_and_dropped_when_it_is_out_of_date() {
    let userprints = userprints(ring(&[("k1", "2026-01-01T00:00:00Z")]), "example.com");
    let (id, cookie) = userprints.mint("", now());
    let after = |age| userprints.verify(&cookie, "", now() + age);
    for (age, is_stale) in [(0, false), (1, true), (400, true), (-1, true)] {
        assert_eq!(after(days(age)), Ok(Verified { id, is_stale }), "{age} days");
    }
    assert_eq!(after(days(401)), Err(Fault::Expired));
}

#[test]
fn the_newest_key_signs_once_its_time_has_come_and_ids_stay() {
    let turn: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let old = ring(&[("k1", "2026-01-01T00:00:00Z")]);
    let both = ring(&[("k2", "2026-11-24T12:00:00Z"), ("k1", "2026-01-01T00:00:00Z")]);
    let new = ring(&[("k2", "2026-11-24T12:00:00Z")]);
    let standing = |at| {
        let of = |(key, standing): (&Key, Standing)| (key.id().to_owned(), standing);
        both.standings(at).map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        standing(now()),
        [
            ("k1".to_owned(), Standing::Signs),
            ("k2".to_owned(), Standing::Waits)
        ]
    );
    assert_eq!(standing(turn)[0].1, Standing::Verifies);

    let userprints = userprints(old, "example.com");
    let (id, before) = userprints.mint("", now());
    userprints.turn(both);
    assert_eq!(userprints.sign(id, "", now()), before, "the new key waits");
    let verified = userprints.verify(&before, "", turn).unwrap();
    assert_eq!(verified, Verified { id, is_stale: true });
    let after = userprints.sign(id, "", turn);
    assert!(after.starts_with(&format!("v1.k2.{id}.")), "{after}");
    userprints.turn(new);
    assert_eq!(
        userprints.verify(&after, "", turn),
        Ok(Verified { id, is_stale: false })
    );
    assert_eq!(userprints.verify(&before, "", turn), Err(Fault::UnknownKey));
}

#[test]
fn one_id_has_one_spelling() {
    let userprints = userprints(ring(&[("k1", "2026-01-01T00:00:00Z")]), "example.com");
    let ring = userprints.ring();
    let sign = |text: &str| {
        // Signed by the right key: what is refused is the spelling alone.
        let tag = ring.keys()[0].sign_for_test(text, "example.com");
        userprints.verify(&format!("{text}.{tag}"), "", now())
    };
    let id = Uuid::new_v4();
    let (simple, upper) = (id.simple(), id.to_string().to_uppercase());
    let day = 20_781;
    assert_eq!(sign(&format!("v1.k1.{id}.{day}")).unwrap().id, id);
    for text in [
        format!("v1.k1.{simple}.{day}"),
        format!("v1.k1.{upper}.{day}"),
        format!("v1.k1.{{{id}}}.{day}"),
        format!("v1.k1.{id}.0{day}"),
        format!("v1.k1.{id}.+{day}"),
        format!("v1.k1.{id}."),
        format!("v1.k1.{id}.{day}.{day}"),
        format!("v2.k1.{id}.{day}"),
        format!("v1.k1.{}.{day}", Uuid::nil()),
        format!("v1.k1.{}.{day}", Uuid::now_v7()),
        format!("k1.{id}.{day}"),
        String::new(),
    ] {
        assert_eq!(sign(&text), Err(Fault::Malformed), "{text}");
    }
}

#[test]
fn kept_keys_are_made_once_and_rotated() {
    let folder = tempfile::tempdir().unwrap();
    assert!(kept::read(folder.path()).unwrap().is_none());
    let first = kept::read_or_make(folder.path(), now()).unwrap();
    let again = kept::read_or_make(folder.path(), now() + days(1)).unwrap();
    assert_eq!(first.keys()[0].id(), again.keys()[0].id());
    let id = Uuid::new_v4();
    let cookie = first.sign(id, "a", now());
    let verify = |ring: &Ring, at| ring.verify(&cookie, "a", at, days(400), days(1));
    assert_eq!(verify(&again, now()), Ok(Verified { id, is_stale: false }));

    let rotated = kept::rotate(folder.path(), now() + days(2), days(400)).unwrap();
    assert_eq!(rotated.keys().len(), 2);
    assert!(verify(&rotated, now() + days(2)).unwrap().is_stale);
    let later = kept::rotate(folder.path(), now() + days(405), days(400)).unwrap();
    assert_eq!(
        later.keys().len(),
        2,
        "nothing of the first key can hold any more"
    );
    assert_eq!(verify(&later, now() + days(405)), Err(Fault::UnknownKey));

    std::fs::write(folder.path().join(kept::FILE), "[{\"id\":\"hush").unwrap();
    let error = kept::read(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("line 1") && error.contains("backup") && !error.contains("hush"),
        "{error}"
    );
}

/// What a forger does to a cookie that holds.
#[derive(Clone, Debug)]
enum Forgery {
    Alter {
        at: prop::sample::Index,
        byte: u8,
    },
    Truncate {
        to: prop::sample::Index,
    },
    Extend {
        with: String,
    },
    /// The head of one cookie and the rest of another.
    Splice {
        at: prop::sample::Index,
    },
    /// A part of one cookie in another.
    Swap {
        part: usize,
    },
    OtherDomain {
        domain: String,
    },
    WrongKey {
        secret: String,
    },
    Invent {
        text: String,
    },
}

fn forgeries() -> impl Strategy<Value = Forgery> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Forgery::Alter { at, byte }),
        index().prop_map(|to| Forgery::Truncate { to }),
        "[a-zA-Z0-9_.=-]{1,4}".prop_map(|with| Forgery::Extend { with }),
        index().prop_map(|at| Forgery::Splice { at }),
        (0..5_usize).prop_map(|part| Forgery::Swap { part }),
        "[a-z.]{0,20}".prop_map(|domain| Forgery::OtherDomain { domain }),
        "[ -~]{0,40}".prop_map(|secret| Forgery::WrongKey { secret }),
        "v1\\.k1\\.[0-9a-f-]{36}\\.[0-9]{5}\\.[a-zA-Z0-9_-]{22}".prop_map(|text| Forgery::Invent { text }),
    ]
}

/// The forged cookie; `None` where it came out as the true one.
fn forge(forgery: &Forgery, own: &str, other: &str) -> Option<String> {
    let forged = match forgery {
        Forgery::Alter { at, byte } => {
            let mut bytes = own.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = *byte;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Forgery::Truncate { to } => own[..to.index(own.len())].to_owned(),
        Forgery::Extend { with } => format!("{own}{with}"),
        Forgery::Splice { at } => {
            let at = at.index(own.len().min(other.len()));
            format!("{}{}", &own[..at], &other[at..])
        }
        Forgery::Swap { part } => {
            let mut parts: Vec<_> = own.split('.').collect();
            parts[*part] = other.split('.').nth(*part)?;
            parts.join(".")
        }
        Forgery::OtherDomain { domain } => {
            let abroad = userprints(ring(&[("k1", "2026-01-01T00:00:00Z")]), "");
            let id = own.split('.').nth(2)?.parse().ok()?;
            abroad.sign(id, domain, now())
        }
        Forgery::WrongKey { secret } => {
            let foreign = key("k1", secret, "2026-01-01T00:00:00Z");
            Ring::new(vec![foreign])?.sign(Uuid::new_v4(), "example.com", now())
        }
        Forgery::Invent { text } => text.clone(),
    };
    (forged != own && forged != other).then_some(forged)
}

/// How many forgeries are tried: `MOMSFLOW_TEST_FORGERIES=1000000` for as many as the acceptance wants.
fn tries() -> u32 {
    let given = std::env::var("MOMSFLOW_TEST_FORGERIES").ok();
    given.map_or(5_000, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: tries(), max_global_rejects: u32::MAX, ..ProptestConfig::default() })]
    #[test]
    fn no_forgery_is_accepted(forgery in forgeries()) {
        let ours = userprints(ring(&[("k1", "2026-01-01T00:00:00Z"), ("k0", "2025-01-01T00:00:00Z")]), "example.com");
        let (_, own) = ours.mint("", now());
        let (_, other) = ours.mint("", now() - days(3));
        let forged = forge(&forgery, &own, &other);
        prop_assume!(forged.is_some());
        let forged = forged.unwrap();
        prop_assert!(ours.verify(&forged, "", now()).is_err(), "{forged} of {own} and {other}");
        prop_assert!(ours.verify(&own, "", now()).is_ok());
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(text in ".*", host in ".*") {
        let ours = userprints(ring(&[("k1", "2026-01-01T00:00:00Z")]), "");
        prop_assert!(ours.verify(&text, &host, now()).is_err());
        let (id, cookie) = ours.mint(&host, now());
        prop_assert_eq!(ours.verify(&cookie, &host, now()).unwrap().id, id);
    }
}
