//! The server's log file: kept small, and quoted when a start fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const LARGEST: u64 = 16 << 20;
const QUOTED_BYTES: u64 = 16 << 10;
const QUOTED_LINES: usize = 6;

/// Moves what was logged to `postgres.log.1` once it is large. The server keeps the file open, in append mode, so
/// that the content is copied and the file cut, rather than renamed.
pub fn bound(log: &Path) -> io::Result<()> {
    if length(log) <= LARGEST {
        return Ok(());
    }
    fs::copy(log, log.with_extension("log.1"))?;
    OpenOptions::new().write(true).open(log)?.set_len(0)
}

/// The present length; 0 where there is no file.
pub fn length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// The last lines that were logged from `begin` on, without what every start says.
pub fn complaints_since(log: &Path, begin: u64) -> Option<String> {
    let text = tail(log, begin).ok()?;
    let lines: Vec<_> = text.lines().filter_map(complaint).collect();
    let from = lines.len().saturating_sub(QUOTED_LINES);
    (!lines.is_empty()).then(|| lines[from..].join("; "))
}

fn tail(log: &Path, begin: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(begin.max(end.saturating_sub(QUOTED_BYTES))))?;
    let mut bytes = Vec::new();
    #[allow(clippy::disallowed_methods, reason = "capped by take")]
    file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reasons stand in LOG lines as well, beside what every start says.
fn complaint(line: &str) -> Option<&str> {
    const USUAL: [&str; 8] = [
        "starting PostgreSQL",
        "listening on",
        "starting up",
        "database system is shut down",
        "database system was",
        "redo starts at",
        "redo done at",
        "invalid record length",
    ];
    let message = [
        "PANIC:  ",
        "FATAL:  ",
        "ERROR:  ",
        "LOG:  ",
        "DETAIL:  ",
        "HINT:  ",
    ]
    .iter()
    .find_map(|level| line.split_once(level))
    .map_or(line, |(_, message)| message)
    .trim();
    let is_usual = message.is_empty() || USUAL.iter().any(|usual| message.contains(usual));
    (!is_usual).then_some(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_complaints_of_this_start_are_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("postgres.log");
        fs::write(&log, "2026 [1] FATAL:  an old one\n").unwrap();
        let begin = length(&log);
        assert_eq!(complaints_since(&log, begin), None);
        let mut text = fs::read_to_string(&log).unwrap();
        text.push_str(
            "2026 [2] LOG:  starting PostgreSQL 15\n2026 [2] FATAL:  no space\n2026 [2] HINT:  make room\n",
        );
        fs::write(&log, text).unwrap();
        assert_eq!(complaints_since(&log, begin).unwrap(), "no space; make room");
    }

    #[test]
    fn a_large_log_is_cut_while_it_stays_open() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("postgres.log");
        let mut writer = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        writer.write_all(&vec![b'x'; LARGEST as usize]).unwrap();
        bound(&log).unwrap();
        assert_eq!(length(&log), LARGEST, "not yet too large");
        writer.write_all(b"y").unwrap();
        bound(&log).unwrap();
        writer.write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "after\n");
        assert_eq!(length(&folder.path().join("postgres.log.1")), LARGEST + 1);
    }
}
