use std::process::ExitCode;

use serde_json::json;

use super::super::PROBLEM;
use super::super::output::{json, line};
use super::faults::Faults;
use super::progress::Progress;
use super::verify::Counted;
use crate::cli::{Import, Json};

/// What would become of a file.
pub(super) struct Preview {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) counted: Counted,
    pub(super) faults: Faults,
}

/// Says what a dry run found.
pub(super) fn dry(
    preview: &Preview,
    unit: &str,
    columns: Option<&[String]>,
    output: Json,
) -> anyhow::Result<ExitCode> {
    let Preview {
        accepted,
        rejected,
        counted,
        faults,
    } = preview;
    let (lines, would_be_stored) = (accepted + rejected, counted.different - counted.stored);
    let repeated = accepted.saturating_sub(counted.different);
    if output.json {
        json(&json!({
            "dry_run": true,
            "lines": lines,
            "would_be_stored": would_be_stored,
            "already_there": counted.stored,
            "repeated": repeated,
            "rejected": rejected,
            "by_code": faults,
        }))?;
    } else {
        line(&format!(
            "{}: {would_be_stored} would be stored new, {} are already there, {rejected} would be \
             refused{}; nothing was changed",
            plural(lines, unit),
            counted.stored,
            repeats(repeated)
        ))?;
        if *rejected > 0 {
            line(&format!("\n{}", faults.table(unit)))?;
        }
        for hint in faults.hints(columns) {
            line(&format!("hint: {hint}"))?;
        }
    }
    Ok(exit_code(*rejected))
}

/// Says what became of a file. Every line is in one of the numbers.
pub(super) fn report(
    progress: &Progress,
    counted: Counted,
    unit: &str,
    arguments: &Import,
) -> anyhow::Result<ExitCode> {
    let lines = progress.accepted + progress.rejected;
    let Counted {
        different,
        stored,
        new,
    } = counted;
    let there = stored.saturating_sub(new);
    let missing = different.saturating_sub(stored);
    let repeated = progress.accepted.saturating_sub(different);
    if arguments.output.json {
        json(&json!({
            "lines": lines,
            "accepted": progress.accepted,
            "different": different,
            "stored": stored,
            "stored_new": new,
            "already_there": there,
            "repeated": repeated,
            "rejected": progress.rejected,
            "rejected_but_not_kept": progress.lost,
        }))?;
    } else {
        line(&format!(
            "{}: {new} stored new, {there} already there, {} refused{}",
            plural(lines, unit),
            progress.rejected,
            repeats(repeated)
        ))?;
        problems(progress, missing, different)?;
        if progress.rejected + missing > 0 {
            line(&format!(
                "\nhint: momsflow dead-letters list --source {}",
                arguments.source
            ))?;
        }
    }
    Ok(exit_code(progress.rejected + missing))
}

fn problems(progress: &Progress, missing: u64, different: u64) -> anyhow::Result<()> {
    if missing > 0 {
        line(&format!(
            "PROBLEM: {missing} of {different} different events that were accepted are not stored"
        ))?;
    }
    if progress.lost > 0 {
        line(&format!(
            "PROBLEM: {} of those refused were not kept as dead letters",
            progress.lost
        ))?;
    }
    Ok(())
}

fn plural(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn repeats(lines: u64) -> String {
    match lines {
        0 => String::new(),
        1 => ", 1 repeats another line".to_owned(),
        lines => format!(", {lines} repeat other lines"),
    }
}

fn exit_code(problems: u64) -> ExitCode {
    if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEM)
    }
}
