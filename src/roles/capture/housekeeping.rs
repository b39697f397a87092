//! Makes months ahead of time and forgets old claims.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Capture;
use crate::retry::Backoff;
use crate::store::month::Month;
use crate::store::months::{ensure_month, prune_claims};

const EVERY: Duration = Duration::from_secs(600);
/// A claim only guards against a copy in flight; a day is far more than any transaction lasts.
const CLAIM_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Runs until the token is cancelled.
pub(super) async fn run(capture: Capture, token: CancellationToken) -> Result<(), String> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    loop {
        let wait = match keep_house(&capture).await {
            Ok(()) => {
                backoff.reset();
                EVERY
            }
            Err(reason) => {
                if backoff.attempts() > 5 {
                    warn!(reason, "months could not be made ahead");
                }
                backoff.next_wait()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = token.cancelled() => return Ok(()),
        }
    }
}

async fn keep_house(capture: &Capture) -> Result<(), String> {
    let now = capture.clock.now();
    let mut client = capture.pool.get().await.map_err(|error| error.to_string())?;
    for month in Month::of(now).with_following(capture.config.months_ahead) {
        ensure_month(&mut client, month, now)
            .await
            .map_err(|error| error.to_string())?;
    }
    let old: Timestamp = now.saturating_sub(CLAIM_AGE).unwrap_or(now);
    prune_claims(&client, old)
        .await
        .map_err(|error| error.to_string())
}
