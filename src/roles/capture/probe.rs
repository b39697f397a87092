//! Asks the event log now and then, so that a host knows whether it can reach it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Capture;
use super::shares::Shares;

/// Runs until the token is cancelled. While workers hear from the log nothing is asked.
pub(super) async fn run(capture: Capture, shares: Shares, token: CancellationToken) -> Result<(), String> {
    let every = capture.config.lease / 3;
    let mut turn = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = token.cancelled() => return Ok(()),
        }
        let silence = shares.log_silence();
        if silence < every + Duration::from_secs(1) {
            continue;
        }
        // One by one: a partition without a leader says nothing about the others.
        turn = (turn + 1) % capture.log.partitions().max(1);
        let answer = tokio::select! {
            answer = capture.log.offsets(turn) => answer,
            () = token.cancelled() => return Ok(()),
        };
        if answer.is_ok() {
            shares.log_answers();
            if silence > capture.config.lease {
                shares.look_anew();
            }
        }
    }
}
