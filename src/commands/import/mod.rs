//! History from a file into a running serve: in pieces, resumable, exact at the end.
//!
//! A line without a messageId gets one made of the file's hash and its number, so that a line that is sent twice
//! is stored once. How far a file came is kept in the data dir.

mod defaults;
mod lines;
mod progress;
mod verify;
mod waiting;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use self::defaults::Defaults;
use self::lines::{Lines, format_of};
use self::progress::Progress;
use self::verify::Counted;
use self::waiting::Waiting;
use super::databases::open_events;
use super::output::{self, printable};
use super::{PROBLEM, WrongUse};
use crate::cli::Import;
use crate::config::{Config, Role, is_name};
use crate::control::client::{Client as Control, ControlError};
use crate::control::message::{ImportReply, ImportTerms, Status};
use crate::event::EventKind;
use crate::retry::Backoff;

/// The size of a piece.
const PIECE_EVENTS: usize = 500;
const PIECE_BYTES: usize = 1024 * 1024;
/// How many faulty lines are shown one by one.
const SHOWN_FAULTS: u64 = 20;

pub(super) async fn run(config: Config, arguments: Import) -> anyhow::Result<ExitCode> {
    let format = format_of(&arguments.file, arguments.format)?;
    let kind: EventKind = arguments.kind.parse().map_err(|()| {
        WrongUse(format!(
            "--type {}: one of track, identify, page, screen, group, alias",
            arguments.kind
        ))
    })?;
    let source = arguments.source.as_str();
    if !is_name(source) {
        return Err(WrongUse(format!(
            "--source {source}: a name has 1 to 64 lower-case letters, digits, `-` and `_`"
        ))
        .into());
    }
    let control = Control::new(&config.data_dir);
    let terms: ImportTerms = control.get(&format!("/import?source={source}")).await?;
    let mut progress = Progress::open(&config.data_dir, &arguments)?;
    let defaults = Defaults {
        kind,
        event: arguments.event.clone(),
        file_id: progress.file_id.clone(),
    };
    let open = || Lines::open(&arguments.file, format, defaults.clone());
    let bar = bar(std::fs::metadata(&arguments.file)?.len());
    send_all(&control, source, open()?, &mut progress, &bar).await?;
    bar.finish_and_clear();
    settle(&control, &bar).await?;
    let client = open_events(&config).await?;
    let counted = verify::count(&client, open()?, &progress, source, terms.trusted).await?;
    report(&progress, counted, &arguments)
}

/// Sends what is left of a file.
async fn send_all(
    control: &Control,
    source: &str,
    mut lines: Lines,
    progress: &mut Progress,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    lines.skip(progress.lines)?;
    let unit = lines.unit();
    while let Some(piece) = lines.next_piece(PIECE_EVENTS, PIECE_BYTES)? {
        let reply = send(control, source, &piece.body, bar).await?;
        for rejected in &reply.rejected {
            let (line, fault) = piece.places.get(rejected.index).cloned().unwrap_or_default();
            progress.reject(line, rejected.kept);
            if progress.rejected <= SHOWN_FAULTS {
                let detail = fault.as_deref().unwrap_or(&rejected.detail);
                let place = printable(&format!("{} {}", rejected.code, rejected.pointer));
                bar.suspend(|| eprintln!("{unit} {line}: {place}: {}", printable(detail)));
            }
        }
        progress.accepted += reply.accepted as u64;
        progress.save(piece.last_line)?;
        bar.set_position(lines.bytes());
        bar.set_message(format!("{} events", progress.accepted));
    }
    Ok(())
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{bar:30} {percent}% {bytes_per_sec} {msg} eta {eta}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Sends a piece for as long as the serve takes no more for now.
async fn send(control: &Control, source: &str, body: &str, bar: &ProgressBar) -> anyhow::Result<ImportReply> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    let mut waiting = Waiting::default();
    let path = format!("/import?source={source}");
    loop {
        match control.post_text(&path, body.as_bytes().to_vec()).await {
            Ok(reply) => return Ok(reply),
            Err(ControlError::Unavailable(reason)) => {
                waiting.tell(bar, &reason);
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
async fn settle(control: &Control, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut waiting = Waiting::default();
    let target = loop {
        let status: Status = control.get("/status").await?;
        if status
            .log
            .partitions
            .iter()
            .all(|partition| partition.end.is_some())
        {
            break status;
        }
        waiting.tell(bar, "the log does not say how far it is");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let captures_here = target.roles.contains(&Role::Capture);
    loop {
        let status: Status = control.get("/status").await?;
        let pending = target
            .log
            .partitions
            .iter()
            .zip(&status.log.partitions)
            .any(|(target, now)| {
                // Where capture has only begun to start, it does not say yet how far it is.
                now.capture
                    .as_ref()
                    .map_or(captures_here, |capture| Some(capture.next_offset) < target.end)
            });
        if !pending {
            return Ok(());
        }
        if let Some((part, reason)) = status.faults.iter().next() {
            waiting.tell(bar, &format!("{part}: {reason}"));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn report(progress: &Progress, counted: Counted, arguments: &Import) -> anyhow::Result<ExitCode> {
    let lines = progress.accepted + progress.rejected;
    let Counted { different, stored } = counted;
    let missing = different.saturating_sub(stored);
    if arguments.output.json {
        output::json(&json!({
            "lines": lines,
            "accepted": progress.accepted,
            "different": different,
            "stored": stored,
            "rejected": progress.rejected,
            "rejected_but_not_kept": progress.lost,
        }))?;
    } else {
        output::line(&format!(
            "{lines} lines: {} accepted, {} rejected; {stored} different events are stored",
            progress.accepted, progress.rejected
        ))?;
        if missing > 0 {
            output::line(&format!(
                "PROBLEM: {missing} of {different} different events that were accepted are not stored"
            ))?;
        }
        if progress.lost > 0 {
            output::line(&format!(
                "PROBLEM: {} of those rejected were not kept as dead letters",
                progress.lost
            ))?;
        }
        if progress.rejected + missing > 0 {
            output::line(&format!(
                "\nhint: momsflow dead-letters list --source {}",
                arguments.source
            ))?;
        }
    }
    Ok(if progress.rejected + missing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEM)
    })
}
