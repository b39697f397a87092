use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::input::name;
use crate::cli::Import;
use crate::private::{hex, make_private, write_whole};

/// How far an import came; kept beside the data, so that a repeated command goes on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The SHA-256 of the file, shortened.
    pub(super) file_id: String,
    /// Lines that are durable in the log.
    pub(super) lines: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// Rejected lines that were not kept as dead letters.
    pub(super) lost: u64,
    /// By serve's clock; what is stored from then on is new.
    pub(super) began_at: Timestamp,
    /// Whether it came to its end. What another run of the same file finds was there before it.
    done: bool,
    #[serde(skip)]
    path: PathBuf,
    /// Held against a second import of the same.
    #[serde(skip)]
    _lock: Option<File>,
    /// The numbers of the rejected lines.
    #[serde(skip)]
    rejected_lines: HashSet<u64>,
    /// Those of them that are not in the file yet.
    #[serde(skip)]
    unsaved: Vec<u64>,
}

impl Progress {
    /// Finds how far a file came with these flags, or begins anew. Other flags make other events of the same file.
    pub(super) fn open(
        data_dir: &Path,
        arguments: &Import,
        file_id: String,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let folder = data_dir.join("imports");
        make_private(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("{}.json", run_id(&file_id, arguments)));
        let lock = File::create(path.with_extension("lock"))?;
        if lock.try_lock().is_err() {
            anyhow::bail!(
                "another import of {} with these flags is running; wait for it, or stop it and repeat the command",
                name(&arguments.file)
            );
        }
        let known: Option<Self> = fs::read(&path)
            .ok()
            .filter(|_| !arguments.restart)
            .and_then(|text| serde_json::from_slice(&text).ok());
        let mut progress = Self {
            file_id,
            path,
            _lock: Some(lock),
            ..known.unwrap_or_default()
        };
        if progress.lines == 0 || progress.done {
            progress.began_at = now;
            progress.done = false;
        }
        if progress.lines > 0 {
            progress.rejected_lines = progress.read_rejected()?;
            eprintln!(
                "going on after line {}, where an earlier run of this file came to",
                progress.lines
            );
        } else {
            File::create(progress.rejected_path())?;
        }
        Ok(progress)
    }

    /// Notes that a line was rejected; kept by the next [`Progress::save`].
    pub(super) fn reject(&mut self, line: u64, is_kept: bool) {
        self.rejected += 1;
        self.lost += u64::from(!is_kept);
        self.rejected_lines.insert(line);
        self.unsaved.push(line);
    }

    /// Whether serve rejected a line.
    pub(super) fn is_rejected(&self, line: u64) -> bool {
        self.rejected_lines.contains(&line)
    }

    /// Keeps that all lines up to one are done: a kill leaves the old or the new.
    pub(super) fn save(&mut self, last_line: u64) -> anyhow::Result<()> {
        if !self.unsaved.is_empty() {
            let text: String = self.unsaved.drain(..).map(|line| format!("{line}\n")).collect();
            // Before the count: lines beyond it are left out when this is read.
            let mut file = OpenOptions::new().append(true).open(self.rejected_path())?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        self.lines = last_line;
        self.write()
    }

    /// Keeps that all of the file is stored and counted.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.done = true;
        self.write()
    }

    fn write(&self) -> anyhow::Result<()> {
        Ok(write_whole(&self.path, &serde_json::to_string(self)?)?)
    }

    fn rejected_path(&self) -> PathBuf {
        self.path.with_extension("rejected")
    }

    fn read_rejected(&self) -> anyhow::Result<HashSet<u64>> {
        let text = fs::read_to_string(self.rejected_path()).context("cannot read the rejected lines")?;
        let lines = text.lines().filter_map(|line| line.parse().ok());
        Ok(lines.filter(|line| *line <= self.lines).collect())
    }
}

/// Names what these flags make of a file.
fn run_id(file_id: &str, arguments: &Import) -> String {
    let flags = (
        file_id,
        &arguments.source,
        &arguments.kind,
        &arguments.event,
        arguments.format.map(|format| format!("{format:?}")),
    );
    hex(&Sha256::digest(format!("{flags:?}"))[..12])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::input::Input;
    use super::*;
    use crate::cli::Json;

    fn import(file: &Path) -> Import {
        Import {
            file: file.to_owned(),
            format: None,
            source: "import".to_owned(),
            kind: "track".to_owned(),
            event: None,
            new_source: false,
            dry_run: false,
            keep_going: false,
            restart: false,
            output: Json { json: false },
        }
    }

    #[test]
    fn progress_belongs_to_a_file_and_its_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        fs::write(&file, "{}").unwrap();
        let open = |arguments: &Import| {
            let input = Input::open(folder.path(), &arguments.file).unwrap();
            Progress::open(folder.path(), arguments, input.id.clone(), Timestamp::now())
        };
        let same = import(&file);
        let mut progress = open(&same).unwrap();
        progress.reject(3, true);
        progress.save(5).unwrap();
        progress.reject(7, false);
        let refused = open(&same).unwrap_err().to_string();
        assert!(refused.contains("another import of"), "{refused}");
        let began_at = progress.began_at;
        drop(progress);
        let mut again = open(&same).unwrap();
        assert_eq!((again.lines, again.rejected, again.lost), (5, 1, 0));
        assert_eq!(again.began_at, began_at);
        again.finish().unwrap();
        assert!(again.is_rejected(3) && !again.is_rejected(7));
        drop(again);
        assert!(
            open(&same).unwrap().began_at > began_at,
            "a finished import begins anew"
        );
        let (mut source, mut event, mut kind, mut restart) =
            (import(&file), import(&file), import(&file), same);
        source.source = "other".to_owned();
        event.event = Some("E".to_owned());
        kind.kind = "page".to_owned();
        restart.restart = true;
        for other in [source, event, kind, restart] {
            assert_eq!(open(&other).unwrap().lines, 0, "{other:?}");
        }
    }
}
