//! What is wrong with the lines of a file, by code, and what helps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::super::output::printable;
use super::lines::{FIELDS, Piece};
use crate::control::message::ImportReply;

/// How many lines of a code are named.
const NAMED: usize = 5;

/// The refused lines of a code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    pub(super) lines: u64,
    pub(super) first_lines: Vec<u64>,
    /// Of the first one.
    pub(super) detail: String,
}

/// All that are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Faults(BTreeMap<String, Fault>);

impl Faults {
    /// Adds those of a piece, and shows each to `each`.
    pub(super) fn take(&mut self, piece: &Piece, reply: &ImportReply, mut each: impl FnMut(u64)) {
        for rejected in &reply.rejected {
            let (line, own) = piece.places.get(rejected.index).cloned().unwrap_or_default();
            let fault = self.0.entry(rejected.code.clone()).or_default();
            if fault.lines == 0 {
                fault.detail = own.unwrap_or_else(|| rejected.detail.clone());
            }
            fault.lines += 1;
            if fault.first_lines.len() < NAMED {
                fault.first_lines.push(line);
            }
            each(line);
        }
    }

    /// A line a code, the most frequent first.
    pub(super) fn table(&self, unit: &str) -> String {
        let mut faults: Vec<_> = self.0.iter().collect();
        faults.sort_by_key(|(_, fault)| std::cmp::Reverse(fault.lines));
        let mut text = String::new();
        for (code, fault) in faults {
            let numbers: Vec<_> = fault.first_lines.iter().map(u64::to_string).collect();
            let more = if fault.lines > NAMED as u64 { ", …" } else { "" };
            let units = if fault.lines == 1 { "" } else { "s" };
            let _ = writeln!(
                text,
                "  {code}: {} ({unit}{units} {}{more}): {}",
                fault.lines,
                numbers.join(", "),
                printable(&fault.detail)
            );
        }
        text
    }

    /// What to do about them; `columns` are those of a CSV file.
    pub(super) fn hints(&self, columns: Option<&[String]>) -> Vec<String> {
        let hint = |code: &String| hint(code, columns);
        self.0.keys().filter_map(hint).collect()
    }
}

fn hint(code: &str, columns: Option<&[String]>) -> Option<String> {
    let place = |field: &str| match columns {
        Some(_) => format!("a column {field}"),
        None => format!("a member \"{field}\""),
    };
    let text = match code {
        "missing_name" => format!(
            "track events need a name: --event 'NAME' gives it to those that have none, {} says it in the file; \
             --type page (or identify, …) is for what is no track event",
            place("event")
        ),
        "missing_identity" => format!(
            "who did it stands in {} (somebody who is known) or {} (a visitor){}",
            place("userId"),
            place("anonymousId"),
            columns.map(meant).unwrap_or_default()
        ),
        "missing_timestamp" => format!(
            "when it happened stands in {}, as 2025-03-01T12:00:00Z or 2025-03-01T12:00:00+01:00: a zone is needed, and \
             numbers are not read{}",
            place("timestamp"),
            columns.map(meant).unwrap_or_default()
        ),
        "timestamp_out_of_bounds" => "ingest.backdate_from is the earliest time that is taken".to_owned(),
        "malformed_json" | "not_an_object" => {
            "a JSONL file has one JSON object a line, `{\"event\": …}`; --format csv reads columns".to_owned()
        }
        "unknown_type" => "the type is one of track, identify, page, screen, group, alias".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Names the columns, and which of them may have been meant for a field.
fn meant(columns: &[String]) -> String {
    let plain = |name: &str| name.replace(['_', '-', ' ', '.'], "").to_lowercase();
    let slips = columns.iter().filter_map(|column| {
        let field = FIELDS.iter().find(|field| plain(field) == plain(column))?;
        (*field != column).then(|| format!("; rename {} to {field}", printable(column)))
    });
    let slips: String = slips.collect();
    let names: Vec<_> = columns.iter().map(|column| printable(column)).collect();
    format!("; the file's columns are {}{slips}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::message::ImportRejected;

    fn faults(codes: &[&str]) -> Faults {
        let piece = Piece {
            body: Vec::new(),
            places: (1..=codes.len() as u64).map(|line| (line * 10, None)).collect(),
            last_line: 0,
        };
        let rejected = codes.iter().enumerate().map(|(index, code)| ImportRejected {
            index,
            pointer: String::new(),
            code: (*code).to_owned(),
            detail: format!("detail {index}"),
            kept: false,
        });
        let reply = ImportReply {
            accepted: 0,
            rejected: rejected.collect(),
        };
        let mut faults = Faults::default();
        faults.take(&piece, &reply, |_| ());
        faults
    }

    #[test]
    fn the_most_frequent_code_comes_first_with_its_first_lines() {
        let codes = [&["missing_name"][..], &["missing_identity"; 7]].concat();
        assert_eq!(
            faults(&codes).table("row"),
            "  missing_identity: 7 (rows 20, 30, 40, 50, 60, …): detail 1\n  missing_name: 1 (row 10): detail 0\n"
        );
    }

    #[test]
    fn a_column_that_was_meant_is_named() {
        let columns = ["user_id", "when"].map(str::to_owned);
        let hints = faults(&["missing_identity", "id_too_long"]).hints(Some(&columns));
        assert_eq!(hints.len(), 1);
        assert!(
            hints[0].contains("a column userId (")
                && hints[0].contains("columns are user_id, when; rename user_id to userId"),
            "{hints:?}"
        );
        let hints = faults(&["missing_timestamp"]).hints(None);
        assert!(
            hints[0].contains("a member \"timestamp\", as 2025-03-01T12:00:00Z"),
            "{hints:?}"
        );
    }
}
