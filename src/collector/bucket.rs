use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// A quiet source may make this many seconds' worth of dead letters at once, as a client that sends one large batch.
const BURST_SECONDS: f64 = 10.0;

/// A token bucket for each source: how many dead letters a second it may make.
pub(super) struct Buckets {
    per_second: f64,
    most: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled_at: Timestamp,
}

impl Buckets {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.into(),
            most: f64::from(per_second) * BURST_SECONDS,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&self, source: &str, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = match buckets.get_mut(source) {
            Some(bucket) => bucket,
            None => buckets.entry(source.to_owned()).or_insert(Bucket {
                tokens: self.most,
                filled_at: now,
            }),
        };
        let passed = now.duration_since(bucket.filled_at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(self.most);
        bucket.filled_at = now;
        let taken = bucket.tokens >= 1.0;
        if taken {
            bucket.tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_source_gets_its_rate_and_no_more() {
        let buckets = Buckets::new(2);
        let full = 2 * BURST_SECONDS as usize;
        let start: Timestamp = "2026-11-24T06:00:00Z".parse().unwrap();
        let later = |millis| {
            start
                .checked_add(jiff::SignedDuration::from_millis(millis))
                .unwrap()
        };
        assert!((0..full).all(|_| buckets.take("web", start)) && !buckets.take("web", start));
        assert!(buckets.take("app", start), "each source has its own");
        assert!(!buckets.take("web", later(400)));
        assert!(buckets.take("web", later(900)));
        assert!(!Buckets::new(0).take("web", start));
    }
}
