//! What would become of a file, without a change to anything.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::bail;

use super::faults::Faults;
use super::report::{Preview, dry};
use super::send::{place, send};
use super::{Job, PIECE_BYTES, PIECE_EVENTS, verify};
use crate::commands::databases::open_events;

/// So many lines at the beginning tell whether a file can be understood at all.
const FIRST: usize = 100;
/// What they may take.
const FIRST_BYTES: usize = 16 * 1024 * 1024;

/// Says what would be stored and what refused.
pub(super) async fn dry_run(job: &Job) -> anyhow::Result<ExitCode> {
    let mut lines = job.open()?;
    let (unit, columns) = (lines.unit(), lines.columns());
    let mut meter = job.meter(&lines);
    let (mut accepted, mut faults, mut rejected) = (0, Faults::default(), HashSet::new());
    while let Some(piece) = lines.next_piece(PIECE_EVENTS, PIECE_BYTES)? {
        let reply = send(job, "preview", &piece.body, &mut meter).await?;
        accepted += reply.accepted as u64;
        faults.take(&piece, &reply, |line| {
            rejected.insert(line);
        });
        let done = format!("{accepted} would be taken, {} refused", rejected.len());
        meter.reach(place(&lines), &done);
    }
    meter.finish();
    let client = open_events(&job.config).await?;
    let is_rejected = |line| rejected.contains(&line);
    let counted = verify::count(&client, job.open()?, is_rejected, job.ids(job.terms.now)).await?;
    let preview = Preview {
        accepted,
        rejected: rejected.len() as u64,
        counted,
        faults,
    };
    dry(&preview, unit, columns.as_deref(), job.arguments.output)
}

/// Refuses a file whose first lines are all refused, before any of it is sent: they would become dead letters, and
/// so would most likely all the others.
pub(super) async fn stop_where_all_is_refused(job: &Job) -> anyhow::Result<()> {
    let mut lines = job.open()?;
    let (unit, columns) = (lines.unit(), lines.columns());
    let mut meter = job.meter(&lines);
    let Some(piece) = lines.next_piece(FIRST, FIRST_BYTES)? else {
        return Ok(());
    };
    let reply = send(job, "preview", &piece.body, &mut meter).await?;
    meter.finish();
    if reply.accepted > 0 {
        return Ok(());
    }
    let mut faults = Faults::default();
    faults.take(&piece, &reply, |_| ());
    let hints: String = faults
        .hints(columns.as_deref())
        .iter()
        .map(|hint| format!("hint: {hint}\n"))
        .collect();
    bail!(
        "each of the first {} {unit}s is refused, so nothing was sent\n\n{}\n{hints}\
         hint: --keep-going imports what can be taken and keeps the rest as dead letters",
        piece.places.len(),
        faults.table(unit),
    );
}
