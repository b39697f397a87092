//! The client's times: read, corrected for the skew of its clock, or given up.

use jiff::{SignedDuration, Timestamp};

use crate::clock::truncate;

/// How far an event may lie ahead of its acceptance, after the correction.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// The first moment of year 1: what lies before it has no year that other readers take.
const EARLIEST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Reads a timestamp of RFC 3339 or ISO 8601 that names its zone or offset, at microsecond precision.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let at = truncate(text.parse().ok()?);
    (at >= EARLIEST).then_some(at)
}

/// When the event happened by the server's clock: `received_at − (sent_at − timestamp)`, which takes out
/// however wrong the client's clock was while it kept the time that the event waited there. Without `sent_at`
/// the client's time stands. `None` where the result lies more than an hour ahead of `received_at` or before
/// `earliest`, which only a broken clock explains.
pub(super) fn occurred_at(
    received_at: Timestamp,
    sent_at: Option<Timestamp>,
    timestamp: Timestamp,
    earliest: Timestamp,
) -> Option<Timestamp> {
    let occurred_at = match sent_at {
        Some(sent_at) => received_at.checked_sub(sent_at.duration_since(timestamp)).ok()?,
        None => timestamp,
    };
    is_within(occurred_at, earliest, received_at).then_some(occurred_at)
}

/// Whether a time lies in `[earliest, now + 1 h]`.
pub fn is_within(at: Timestamp, earliest: Timestamp, now: Timestamp) -> bool {
    let latest = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
    (earliest..=latest).contains(&at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_zone_is_needed() {
        assert_eq!(
            parse("2026-11-24T08:00:00+02:00"),
            Some(at("2026-11-24T06:00:00Z"))
        );
        assert_eq!(
            parse("2026-11-24T06:00:00.123456789Z"),
            Some(at("2026-11-24T06:00:00.123456Z"))
        );
        assert_eq!(parse("0001-01-01T00:00:00Z"), Some(at("0001-01-01T00:00:00Z")));
        for text in [
            "2026-11-24T06:00:00",
            "2026-11-24",
            "yesterday",
            "1700000000000",
            "",
            "-000001-01-01T00:00:00Z",
            "0000-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_clock_is_corrected_and_a_broken_one_given_up() {
        let received = at("2026-11-24T06:00:10Z");
        let earliest = at("2000-01-01T00:00:00Z");
        // A clock one day ahead, an event that waited for ten seconds.
        let corrected = occurred_at(
            received,
            Some(at("2026-11-25T06:00:10Z")),
            at("2026-11-25T06:00:00Z"),
            earliest,
        );
        assert_eq!(corrected, Some(at("2026-11-24T06:00:00Z")));
        assert_eq!(
            occurred_at(received, None, at("2026-11-25T06:00:00Z"), earliest),
            None
        );
        assert_eq!(
            occurred_at(received, None, at("1970-01-01T00:00:00Z"), earliest),
            None
        );
        assert_eq!(
            occurred_at(received, None, at("2025-11-24T06:00:00Z"), earliest),
            Some(at("2025-11-24T06:00:00Z"))
        );
    }

    proptest! {
        /// The same wait gives the same occurred_at, whatever the client's clock said.
        #[test]
        fn the_offset_of_the_clock_cancels_out(wait in 0_i64..1_000_000, off in -4_000_000_000_i64..4_000_000_000) {
            let received = at("2026-11-24T06:00:00Z");
            let sent = received.checked_add(SignedDuration::from_secs(off)).unwrap();
            let made = sent.checked_sub(SignedDuration::from_secs(wait)).unwrap();
            let occurred = occurred_at(received, Some(sent), made, at("2000-01-01T00:00:00Z"));
            prop_assert_eq!(occurred, Some(received.checked_sub(SignedDuration::from_secs(wait)).unwrap()));
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
