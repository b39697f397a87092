//! What a visitor's cookie costs: to make one, to verify one, to refuse one. The acceptance wants each below 2 µs.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use momsflow::config::Secret;
use momsflow::userprint::{Key, Ring, Terms, Userprints};

const HOST: &str = "events.example.com";

fn userprints() -> Userprints {
    let keys = (0..3).map(|n| {
        let secret = Secret::new(format!("secret number {n} of at least 32 characters"));
        let signs_from = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(n);
        Key::new(format!("key-{n}"), &secret, signs_from)
    });
    let terms = Terms {
        domain: "example.com".to_owned(),
        lifetime: SignedDuration::from_hours(24 * 400),
        renew_after: SignedDuration::from_hours(24),
    };
    Userprints::new(Ring::new(keys.collect()).unwrap(), terms)
}

fn userprint(criterion: &mut Criterion) {
    let (userprints, now) = (userprints(), Timestamp::now());
    let (_, cookie) = userprints.mint(HOST, now);
    let forged = cookie.replace(".key-2.", ".key-1.");
    assert!(userprints.verify(&cookie, HOST, now).is_ok() && userprints.verify(&forged, HOST, now).is_err());
    let mut group = criterion.benchmark_group("userprint");
    group.bench_function("mint", |bencher| {
        bencher.iter(|| userprints.mint(black_box(HOST), now));
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| userprints.verify(black_box(&cookie), HOST, now));
    });
    group.bench_function("refuse", |bencher| {
        bencher.iter(|| userprints.verify(black_box(&forged), HOST, now));
    });
    group.finish();
}

criterion_group!(benches, userprint);
criterion_main!(benches);
