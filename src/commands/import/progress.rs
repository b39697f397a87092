use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::private::{hex, write_whole};

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
    #[serde(skip)]
    path: PathBuf,
}

impl Progress {
    /// Finds how far a file came, or begins anew.
    pub(super) fn open(data_dir: &Path, file: &Path, restart: bool) -> anyhow::Result<Self> {
        let file_id = hash(file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = data_dir.join("imports");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{file_id}.json"));
        let known: Option<Self> = std::fs::read(&path)
            .ok()
            .filter(|_| !restart)
            .and_then(|text| serde_json::from_slice(&text).ok());
        let progress = known.unwrap_or_default();
        if progress.lines > 0 {
            eprintln!(
                "going on after line {}, where an earlier run of this file came to",
                progress.lines
            );
        }
        Ok(Self {
            file_id,
            path,
            ..progress
        })
    }

    /// Keeps it: a kill leaves the old or the new.
    pub(super) fn save(&self) -> anyhow::Result<()> {
        Ok(write_whole(&self.path, &serde_json::to_string(self)?)?)
    }
}

fn hash(file: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(file)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()[..12]))
}
