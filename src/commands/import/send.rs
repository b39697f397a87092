use std::time::Duration;

use anyhow::Context as _;

use super::super::output::printable;
use super::lines::Lines;
use super::meter::{Meter, Place};
use super::progress::Progress;
use super::{Job, PIECE_BYTES, PIECE_EVENTS};
use crate::config::Role;
use crate::control::client::{Client as Control, ControlError};
use crate::control::message::{ImportReply, LogPartition, Status};
use crate::retry::Backoff;

/// How many faulty lines are shown one by one.
const SHOWN_FAULTS: u64 = 20;

/// Sends what is left of a file.
pub(super) async fn all(
    job: &Job,
    mut lines: Lines,
    progress: &mut Progress,
    meter: &mut Meter,
) -> anyhow::Result<()> {
    lines.skip(progress.lines)?;
    let unit = lines.unit();
    while let Some(piece) = lines.next_piece(PIECE_EVENTS, PIECE_BYTES)? {
        let reply = send(job, "lines", &piece.body, meter).await?;
        for rejected in &reply.rejected {
            let (line, fault) = piece.places.get(rejected.index).cloned().unwrap_or_default();
            progress.reject(line, rejected.kept);
            if progress.rejected <= SHOWN_FAULTS {
                let detail = fault.as_deref().unwrap_or(&rejected.detail);
                let place = printable(&format!("{} {}", rejected.code, rejected.pointer));
                meter.say(&format!("{unit} {line}: {place}: {}", printable(detail)));
            }
        }
        progress.accepted += reply.accepted as u64;
        progress.save(piece.last_line)?;
        let done = format!("{} events, {} refused", progress.accepted, progress.rejected);
        meter.reach(place(&lines), &done);
    }
    Ok(())
}

/// How far a file was read.
pub(super) fn place(lines: &Lines) -> Place {
    Place {
        line: lines.number(),
        byte: lines.bytes(),
    }
}

/// Sends a piece for as long as the serve takes no more for now.
pub(super) async fn send(
    job: &Job,
    action: &str,
    body: &[u8],
    meter: &mut Meter,
) -> anyhow::Result<ImportReply> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    let path = job.path(action);
    loop {
        match job.control.post_text(&path, body.to_vec()).await {
            Ok(reply) => return Ok(reply),
            Err(ControlError::Unavailable(reason)) => {
                meter.wait(&reason);
                tokio::time::sleep(backoff.next_wait()).await;
            }
            Err(error) => {
                return Err(error)
                    .context("the import broke off; repeat the command and it goes on where it was");
            }
        }
    }
}

/// Waits until capture has stored everything that the log holds by now.
pub(in crate::commands) async fn settle(control: &Control, meter: &mut Meter) -> anyhow::Result<()> {
    let target = loop {
        let status: Status = control.get("/status").await?;
        let partitions = &status.log.partitions;
        if partitions.iter().all(|partition| partition.end.is_some()) {
            break status;
        }
        meter.wait("the log does not say how far it is");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let captures_here = target.roles.contains(&Role::Capture);
    loop {
        let status: Status = control.get("/status").await?;
        let partitions = target.log.partitions.iter().zip(&status.log.partitions);
        let pending: i64 = partitions
            .map(|(target, now)| waits(target, now, captures_here))
            .sum();
        if pending == 0 {
            return Ok(());
        }
        match status.faults.iter().next() {
            Some((part, reason)) => meter.wait(&format!("{part}: {reason}")),
            None => meter.settle(pending),
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// How many of a partition's records are not stored yet.
fn waits(target: &LogPartition, now: &LogPartition, captures_here: bool) -> i64 {
    let (earliest, end) = (target.earliest.unwrap_or(0), target.end.unwrap_or(0));
    match &now.capture {
        Some(capture) => (end - capture.next_offset).max(0),
        // Where capture has only begun to start, it does not say yet how far it is.
        None if captures_here => (end - earliest).max(1),
        None => 0,
    }
}
