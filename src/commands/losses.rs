//! What `momsflow status` says of events that are in no table.

use super::output::{self, printable};
use crate::broker::spool::SetAside;
use crate::control::message::Status;
use crate::store::gaps::{Gap, Gaps};

/// What the spool cannot send.
pub(super) fn not_sent(aside: &SetAside) -> String {
    let folder = aside.folder.display();
    let mut text = format!("{} events", aside.records);
    if let Some(reason) = &aside.reason {
        text.push_str(&format!(
            " that the event log does not take ({})",
            printable(reason)
        ));
    }
    if aside.damaged_files > 0 {
        text.push_str(&format!(
            ", and what could not be read of {} damaged or missing files",
            aside.damaged_files
        ));
    }
    format!("{text}; in {folder}")
}

/// The newest, those of an earlier log with its id.
pub(super) fn print_gaps(gaps: &Gaps, status: &Status) -> anyhow::Result<()> {
    output::line(&format!(
        "\nLOST: {} records that the log had deleted before they were stored (gaps: {})",
        gaps.records, gaps.count
    ))?;
    for gap in &gaps.newest {
        output::line(&lost(gap, status))?;
    }
    if gaps.count > gaps.newest.len() as i64 {
        output::line("  … and older ones, all in the table log_gaps")?;
    }
    Ok(())
}

fn lost(gap: &Gap, status: &Status) -> String {
    let Gap {
        partition, from, to, ..
    } = gap;
    let log = match status.log.log_id == Some(gap.log_id) {
        true => String::new(),
        false => format!(" of log {}", gap.log_id),
    };
    format!(
        "  partition {partition}{log}, offsets {from}..{to}, noticed at {:.0}",
        gap.noticed_at
    )
}
