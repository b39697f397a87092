//! The lines of an import file as pieces of a Segment batch.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::super::WrongUse;
use crate::cli::ImportFormat;
use crate::event::EventKind;

/// The longest line that is read; what is longer than an event may be is refused by serve, with a reason.
const MAX_LINE: usize = 8 * 1024 * 1024;
/// CSV columns that are fields of the event; all others are properties.
const FIELDS: [&str; 9] = [
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

/// What lines get that do not say it themselves.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) kind: EventKind,
    pub(super) event: Option<String>,
    /// Names the file in the ids of its events.
    pub(super) file_id: String,
}

/// Some lines as the body of a batch.
pub(super) struct Piece {
    pub(super) body: String,
    /// The line number of each event.
    pub(super) numbers: Vec<u64>,
    pub(super) last_line: u64,
}

/// An import file, read line by line.
pub(super) struct Lines {
    reader: Reader,
    defaults: Defaults,
    line: u64,
    bytes: u64,
}

enum Reader {
    Jsonl(BufReader<File>),
    Csv {
        reader: csv::Reader<File>,
        headers: csv::StringRecord,
    },
}

/// The format of a file, as said or by its name.
pub(super) fn format_of(file: &Path, said: Option<ImportFormat>) -> Result<ImportFormat, WrongUse> {
    if let Some(format) = said {
        return Ok(format);
    }
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl" | "ndjson") => Ok(ImportFormat::Jsonl),
        Some("csv") => Ok(ImportFormat::Csv),
        _ => Err(WrongUse(format!(
            "{}: the name does not tell the format\n\nhint: --format jsonl or --format csv",
            file.display()
        ))),
    }
}

impl Lines {
    pub(super) fn open(path: &Path, format: ImportFormat, defaults: Defaults) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let reader = match format {
            ImportFormat::Jsonl => Reader::Jsonl(BufReader::new(file)),
            ImportFormat::Csv => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
                let headers = reader.headers().context("the CSV file has no header")?.clone();
                Reader::Csv { reader, headers }
            }
        };
        Ok(Self {
            reader,
            defaults,
            line: 0,
            bytes: 0,
        })
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
        let mut body = String::from("{\"batch\":[");
        let mut numbers = Vec::new();
        while numbers.len() < events && body.len() < bytes {
            let Some(line) = self.next_line()? else { break };
            if line.is_empty() {
                continue;
            }
            if !numbers.is_empty() {
                body.push(',');
            }
            body.push_str(&line);
            numbers.push(self.line);
        }
        body.push_str("]}");
        Ok((!numbers.is_empty()).then_some(Piece {
            body,
            numbers,
            last_line: self.line,
        }))
    }

    /// The next line as JSON text; empty for an empty line.
    pub(super) fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        let event = match &mut self.reader {
            Reader::Jsonl(reader) => {
                let mut line = Vec::new();
                let read =
                    std::io::Read::take(&mut *reader, MAX_LINE as u64 + 1).read_until(b'\n', &mut line)?;
                if read > MAX_LINE {
                    bail!(
                        "line {} is longer than {MAX_LINE} bytes: is this a JSONL file?",
                        self.line + 1
                    );
                }
                if read == 0 {
                    return Ok(None);
                }
                self.bytes += read as u64;
                parse_line(&line)
            }
            Reader::Csv { reader, headers } => {
                let mut record = csv::StringRecord::new();
                if !reader.read_record(&mut record)? {
                    return Ok(None);
                }
                self.bytes = reader.position().byte();
                Some(from_csv(headers, &record))
            }
        };
        self.line += 1;
        Ok(Some(event.map_or_else(String::new, |event| self.complete(event))))
    }

    /// Adds what a line does not say itself; a line that is no JSON object goes as a string, for serve to refuse.
    fn complete(&self, event: Value) -> String {
        let Value::Object(mut members) = event else {
            return event.to_string();
        };
        let missing = |members: &Map<String, Value>, key: &str| members.get(key).is_none_or(Value::is_null);
        if missing(&members, "messageId") {
            let id = format!("{}:{}", self.defaults.file_id, self.line);
            members.insert("messageId".to_owned(), Value::from(id));
        }
        if missing(&members, "type") {
            members.insert("type".to_owned(), Value::from(self.defaults.kind.as_str()));
        }
        if let Some(event) = &self.defaults.event
            && missing(&members, "event")
        {
            members.insert("event".to_owned(), Value::from(event.as_str()));
        }
        Value::Object(members).to_string()
    }
}

fn parse_line(line: &[u8]) -> Option<Value> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(line);
    Some(serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_ref())))
}

fn from_csv(headers: &csv::StringRecord, record: &csv::StringRecord) -> Value {
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
    use std::io::Write;

    use super::*;

    fn lines(name: &str, text: &str) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        let defaults = Defaults {
            kind: EventKind::Track,
            event: Some("Order Completed".to_owned()),
            file_id: "f".to_owned(),
        };
        let format = format_of(&path, None).unwrap();
        let mut lines = Lines::open(&path, format, defaults).unwrap();
        let piece = lines.next_piece(100, 10_000).unwrap().unwrap();
        let mut body: Value = serde_json::from_str(&piece.body).unwrap();
        body["batch"].take().as_array().unwrap().clone()
    }

    #[test]
    fn csv_columns_are_fields_or_typed_properties() {
        let events = lines(
            "a.csv",
            "userId,timestamp,units,total,zip\n00042,1997-01-01T00:00:00Z,3,29.50,01234\n",
        );
        assert_eq!(
            events[0],
            serde_json::json!({
                "userId": "00042", "timestamp": "1997-01-01T00:00:00Z", "messageId": "f:1", "type": "track",
                "event": "Order Completed", "properties": {"units": 3, "total": 29.5, "zip": "01234"},
            })
        );
    }

    #[test]
    fn jsonl_keeps_what_it_says_and_broken_lines_reach_serve() {
        let events = lines(
            "a.jsonl",
            "{\"type\":\"page\",\"messageId\":\"m\",\"event\":\"x\"}\n\n{broken\n",
        );
        assert_eq!(
            events[0],
            serde_json::json!({"type": "page", "messageId": "m", "event": "x"})
        );
        assert_eq!(events[1], "{broken");
    }
}
