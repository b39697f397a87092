//! The lines of an import file as events.

use std::io::{self, BufRead, Read as _};

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::defaults::{Defaults, Seen};
use super::input::Unpacked;
use crate::cli::ImportFormat;

/// The longest line that is read, which is more than any event may have. Of a longer one serve gets the head, to
/// refuse and keep.
const MAX_LINE: u64 = 2 * 1024 * 1024;
/// CSV columns that are fields of the event; all others are properties.
pub(super) const FIELDS: [&str; 9] = [
    "type",
    "event",
    "name",
    "userId",
    "anonymousId",
    "groupId",
    "previousId",
    "messageId",
    "timestamp",
];

/// Some lines as serve takes them: one an event, the broken ones too, so that it can refuse and keep them.
pub(super) struct Piece {
    pub(super) body: Vec<u8>,
    /// Where each stood, and what serve cannot know of it.
    pub(super) places: Vec<(u64, Option<String>)>,
    pub(super) last_line: u64,
}

/// A line of the file. Empty ones are no events.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// JSON text of the event, if the line is none of the broken.
    pub(super) event: Vec<u8>,
    /// Why serve gets only a part of it.
    pub(super) fault: Option<String>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.event.is_empty()
    }

    /// The event's text; `None` where the line is no UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.event).ok()
    }
}

/// An import file, read line by line.
pub(super) struct Lines {
    reader: Reader,
    defaults: Defaults,
    seen: Seen,
    line: u64,
    bytes: u64,
}

enum Reader {
    Jsonl(Unpacked),
    Csv {
        reader: csv::Reader<Unpacked>,
        headers: csv::StringRecord,
    },
}

impl Lines {
    pub(super) fn new(file: Unpacked, format: ImportFormat, defaults: Defaults) -> anyhow::Result<Self> {
        let reader = match format {
            ImportFormat::Jsonl => Reader::Jsonl(file),
            ImportFormat::Csv => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
                let headers = reader.headers().context("the CSV file has no header")?.clone();
                Reader::Csv { reader, headers }
            }
        };
        Ok(Self {
            reader,
            defaults,
            seen: Seen::default(),
            line: 0,
            bytes: 0,
        })
    }

    /// What a number of this file counts: rows behind the header of a CSV file, which may have line breaks in them.
    pub(super) fn unit(&self) -> &'static str {
        match self.reader {
            Reader::Csv { .. } => "row",
            Reader::Jsonl(_) => "line",
        }
    }

    /// The header of a CSV file.
    pub(super) fn columns(&self) -> Option<Vec<String>> {
        match &self.reader {
            Reader::Csv { headers, .. } => Some(headers.iter().map(str::to_owned).collect()),
            Reader::Jsonl(_) => None,
        }
    }

    /// The number of the line that was read last.
    pub(super) fn number(&self) -> u64 {
        self.line
    }

    /// How much of the file was read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Passes over the first lines.
    pub(super) fn skip(&mut self, lines: u64) -> anyhow::Result<()> {
        while self.line < lines && self.next_line()?.is_some() {}
        Ok(())
    }

    /// The next events of the file, or `None` at its end. Empty lines are no events.
    pub(super) fn next_piece(&mut self, events: usize, bytes: usize) -> anyhow::Result<Option<Piece>> {
        let mut body = Vec::new();
        let mut places = Vec::new();
        while places.len() < events && body.len() < bytes {
            let Some(line) = self.next_line()? else { break };
            if line.is_empty() {
                continue;
            }
            if !places.is_empty() {
                body.push(b'\n');
            }
            body.extend_from_slice(&line.event);
            places.push((self.line, line.fault));
        }
        Ok((!places.is_empty()).then_some(Piece {
            body,
            places,
            last_line: self.line,
        }))
    }

    /// The next line, or `None` at the end.
    pub(super) fn next_line(&mut self) -> anyhow::Result<Option<Line>> {
        let mut line = match &mut self.reader {
            Reader::Jsonl(reader) => {
                let (text, length) = read_line(reader)?;
                if length == 0 {
                    return Ok(None);
                }
                self.bytes += length;
                from_json(&text, length)
            }
            Reader::Csv { reader, headers } => {
                let mut record = csv::ByteRecord::new();
                if !reader.read_byte_record(&mut record)? {
                    return Ok(None);
                }
                self.bytes = reader.position().byte();
                from_csv(headers, record)
            }
        };
        self.line += 1;
        if let Some(text) = line.text()
            && !text.is_empty()
        {
            line.event = self
                .defaults
                .complete(text.to_owned(), &mut self.seen)
                .into_bytes();
        }
        Ok(Some(line))
    }
}

/// Reads up to [`MAX_LINE`] of a line and passes over the rest; gives the length of the whole as well.
fn read_line(reader: &mut impl BufRead) -> io::Result<(Vec<u8>, u64)> {
    let mut line = Vec::new();
    let mut length = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? as u64;
    if length == MAX_LINE && !line.ends_with(b"\n") {
        length += reader.skip_until(b'\n')? as u64;
    }
    Ok((line, length))
}

fn from_json(line: &[u8], length: u64) -> Line {
    // Some editors put a byte order mark before the first line.
    let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    let is_cut = length > line.len() as u64;
    Line {
        event: text.to_owned(),
        fault: is_cut.then(|| format!("the line has {length} bytes, its head is kept")),
    }
}

fn from_csv(headers: &csv::StringRecord, record: csv::ByteRecord) -> Line {
    let event = match csv::StringRecord::from_byte_record(record) {
        Ok(record) => event_of(headers, &record).to_string().into_bytes(),
        Err(error) => {
            let mut row = error.into_byte_record().iter().collect::<Vec<_>>().join(&b',');
            // A cell may have line breaks, which would make two of it.
            row.iter_mut()
                .filter(|byte| **byte == b'\n')
                .for_each(|byte| *byte = b' ');
            row
        }
    };
    Line { event, fault: None }
}

fn event_of(headers: &csv::StringRecord, record: &csv::StringRecord) -> Value {
    let mut members = Map::new();
    let mut properties = Map::new();
    for (header, cell) in headers.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        if FIELDS.contains(&header) {
            members.insert(header.to_owned(), Value::from(cell));
        } else {
            properties.insert(header.to_owned(), typed(cell));
        }
    }
    if !properties.is_empty() {
        members.insert("properties".to_owned(), Value::Object(properties));
    }
    Value::Object(members)
}

/// A CSV cell as the JSON value that it looks like: booleans and plain numbers, all else text. A number with a
/// leading zero is text (a postcode, an account), and so is a long one, which not every reader keeps exactly.
fn typed(cell: &str) -> Value {
    match serde_json::from_str(cell) {
        Ok(value @ Value::Bool(_)) => value,
        Ok(value @ Value::Number(_)) if is_plain_decimal(cell) => value,
        _ => Value::from(cell),
    }
}

/// Digits with at most one point and at most 15 of them, which a double keeps.
fn is_plain_decimal(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;
    use std::path::Path;

    use super::super::input::format_of;
    use super::*;
    use crate::event::EventKind;

    fn piece(name: &str, text: &[u8]) -> Piece {
        let defaults = Defaults {
            kind: EventKind::Track,
            event: Some("Order Completed".to_owned()),
        };
        let format = format_of(Path::new(name), None).unwrap();
        let text = Box::new(Cursor::new(text.to_owned()));
        let mut lines = Lines::new(text, format, defaults).unwrap();
        lines.next_piece(100, 10_000).unwrap().unwrap()
    }

    fn sent(piece: &Piece) -> Vec<&[u8]> {
        let lines: Vec<_> = piece.body.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), piece.places.len());
        lines
    }

    fn event(line: &[u8]) -> Value {
        serde_json::from_slice(line).unwrap()
    }

    fn without_made_id(line: &[u8]) -> (String, Value) {
        let mut event = event(line);
        let id = event.as_object_mut().unwrap().remove("messageId").unwrap();
        (id.as_str().unwrap().to_owned(), event)
    }

    #[test]
    fn csv_columns_are_fields_or_typed_properties() {
        let piece = piece(
            "a.csv",
            b"userId,timestamp,units,total,zip\n00042,1997-01-01T00:00:00Z,3,29.50,01234\n\"A\n\xff\",,,,1\n",
        );
        let sent = sent(&piece);
        let (id, event) = without_made_id(sent[0]);
        assert!(id.starts_with("line:"), "{id}");
        assert_eq!(
            event,
            serde_json::json!({
                "userId": "00042", "timestamp": "1997-01-01T00:00:00Z", "type": "track",
                "event": "Order Completed", "properties": {"units": 3, "total": 29.5, "zip": "01234"},
            })
        );
        assert_eq!(
            sent[1], b"A \xff,,,,1",
            "as it is, on one line, for serve to refuse"
        );
    }

    #[test]
    fn jsonl_keeps_what_it_says_and_broken_lines_reach_serve() {
        let text = "{\"type\":\"page\",\"messageId\":\"m\",\"event\":\"x\"}\n\n{broken\n\"text\"\n\
                    {\"messageId\":\"\"}\n{}\n{\"messageId\":\" NULL\"}\n{\"messageId\":0}\n{}\n";
        let piece = piece("a.jsonl", format!("\u{feff}{text}").as_bytes());
        let sent = sent(&piece);
        assert_eq!(
            event(sent[0]),
            serde_json::json!({"type": "page", "messageId": "m", "event": "x"})
        );
        assert_eq!((sent[1], sent[2]), (&b"{broken"[..], &b"\"text\""[..]));
        assert_eq!(piece.places[1], (3, None));
        let mut ids = std::collections::HashSet::new();
        for line in &sent[3..] {
            let (id, event) = without_made_id(line);
            assert_eq!(
                event,
                serde_json::json!({"type": "track", "event": "Order Completed"})
            );
            assert!(id.starts_with("line:") && ids.insert(id));
        }
        assert_eq!(ids.len(), 5, "equal lines are told apart");
    }

    #[test]
    fn an_event_stays_byte_for_byte() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for properties in [
            r#"{ "id": 12345678901234567890123, "price": 1.50 }"#,
            r#"{"huge":1e400}"#,
            r#"{"half":"\ud800"}"#,
            deep.as_str(),
        ] {
            let line = format!("{{\"userId\":\"u\", \"properties\":{properties}");
            let piece = piece("a.jsonl", format!("{line}}}\n").as_bytes());
            let body = String::from_utf8(piece.body).unwrap();
            assert!(body.starts_with(&format!("{line},")), "{body}");
            assert_eq!(piece.places, [(1, None)]);
        }
    }

    #[test]
    fn a_line_beyond_all_bounds_is_one_fault_and_no_end() {
        let long = "x".repeat(MAX_LINE as usize + 10);
        let text = format!("{{\"text\":\"{long}\"}}\n{{\"event\":\"next\"}}\n");
        let defaults = Defaults {
            kind: EventKind::Track,
            event: None,
        };
        let mut lines =
            Lines::new(Box::new(Cursor::new(text.clone())), ImportFormat::Jsonl, defaults).unwrap();
        let long = lines.next_line().unwrap().unwrap();
        assert!(long.fault.unwrap().contains("bytes") && long.event.starts_with(b"{\"text"));
        let next = lines.next_line().unwrap().unwrap();
        assert!(next.text().unwrap().contains("next"));
        assert_eq!(lines.next_line().unwrap(), None);
        assert_eq!(lines.bytes(), text.len() as u64);
    }
}
