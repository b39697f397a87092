//! Where history comes from: a file, or a pipe, packed or not.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::super::WrongUse;
use crate::cli::ImportFormat;
use crate::private::{hex, make_private};

/// Standard input, as a file's name.
const STDIN: &str = "-";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A copy of a pipe, in the folder of imports.
const COPY_PREFIX: &str = "pipe-";

/// A reader of what is unpacked.
pub(super) type Unpacked = Box<dyn BufRead + Send>;

/// The lines' place, which is read several times: to name it, to try its beginning, to send it, and to count it.
#[derive(Debug)]
pub(super) struct Input {
    path: PathBuf,
    /// Of what can be read once only.
    _copy: Option<Copy>,
    /// The SHA-256 of what is in it, unpacked and shortened.
    pub(super) id: String,
    /// Unpacked.
    pub(super) bytes: u64,
}

impl Input {
    /// Reads all of it, so that what is damaged is found before anything is sent. A pipe is copied beside the data, since
    /// its lines are needed again; the copy goes with this.
    pub(super) fn open(data_dir: &Path, file: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot read {}", name(file));
        let copy = match is_pipe(file).with_context(cannot)? {
            true => Some(Copy::of(file, &data_dir.join("imports"))?),
            false => None,
        };
        let path = copy
            .as_ref()
            .map_or_else(|| file.to_owned(), |copy| copy.path.clone());
        let mut hasher = Sha256::new();
        let bytes = unpacked(&path)
            .and_then(|mut lines| io::copy(&mut lines, &mut hasher))
            .with_context(cannot)?;
        Ok(Self {
            path,
            _copy: copy,
            id: hex(&hasher.finalize()[..12]),
            bytes,
        })
    }

    /// From its beginning.
    pub(super) fn read(&self) -> io::Result<Unpacked> {
        unpacked(&self.path)
    }
}

/// For people.
pub(super) fn name(file: &Path) -> String {
    match file.as_os_str() == STDIN {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}

fn is_pipe(file: &Path) -> io::Result<bool> {
    Ok(file.as_os_str() == STDIN || !fs::metadata(file)?.is_file())
}

/// The format as said, or by the name without what says how it is packed.
pub(super) fn format_of(file: &Path, said: Option<ImportFormat>) -> Result<ImportFormat, WrongUse> {
    if let Some(format) = said {
        return Ok(format);
    }
    let extension = |path: &Path| {
        path.extension()
            .and_then(|ending| ending.to_str().map(str::to_owned))
    };
    let inner = match extension(file).as_deref() {
        Some("gz" | "zst") => file.file_stem().map(Path::new).and_then(extension),
        outer => outer.map(str::to_owned),
    };
    match inner.as_deref() {
        Some("jsonl" | "ndjson") => Ok(ImportFormat::Jsonl),
        Some("csv") => Ok(ImportFormat::Csv),
        _ => Err(WrongUse(format!(
            "{}: the name does not tell the format\n\nhint: --format jsonl or --format csv",
            name(file)
        ))),
    }
}

/// How it is packed is seen at its first bytes, with which neither JSON nor CSV begins.
#[allow(clippy::disallowed_methods)] // four bytes
fn unpacked(path: &Path) -> io::Result<Unpacked> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    let file = BufReader::new(file);
    Ok(match () {
        () if head.starts_with(&GZIP) => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        () if head == ZSTD => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        () => Box::new(file),
    })
}

/// A file with what came through a pipe, gone with this.
#[derive(Debug)]
struct Copy {
    path: PathBuf,
    /// Tells the next import that somebody needs it.
    _lock: File,
}

impl Copy {
    fn of(pipe: &Path, folder: &Path) -> anyhow::Result<Self> {
        make_private(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        clear_left_behind(folder);
        let path = folder.join(format!("{COPY_PREFIX}{}", std::process::id()));
        let cannot = || format!("cannot copy {} to {}", name(pipe), path.display());
        let mut file = File::create(&path).with_context(cannot)?;
        file.lock().with_context(cannot)?;
        let copy = Self {
            path: path.clone(),
            _lock: file.try_clone().with_context(cannot)?,
        };
        match pipe.as_os_str() == STDIN {
            true => io::copy(&mut io::stdin().lock(), &mut file),
            false => File::open(pipe).and_then(|mut pipe| io::copy(&mut pipe, &mut file)),
        }
        .with_context(cannot)?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// An import that was killed could not take its copy away.
fn clear_left_behind(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_copy = entry.file_name().to_string_lossy().starts_with(COPY_PREFIX);
        if is_copy && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn the_name_tells_the_format_however_it_is_packed() {
        let of = |file: &str| format_of(Path::new(file), None).ok();
        assert_eq!(of("a.jsonl.gz"), Some(ImportFormat::Jsonl));
        assert_eq!(of("a.ndjson.zst"), Some(ImportFormat::Jsonl));
        assert_eq!(of("a.csv"), Some(ImportFormat::Csv));
        for none in ["a.gz", "-", "a.jsonl.bz2", "jsonl"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn packed_or_not_it_is_the_same_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"event\":\"a\"}\n".repeat(1000);
        // As `cat a.gz b.gz` makes it.
        let mut gzip = Vec::new();
        for half in [&text[..5000], &text[5000..]] {
            let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(half.as_bytes()).unwrap();
            gzip.extend(packer.finish().unwrap());
        }
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let open = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            Input::open(folder.path(), &path)
        };
        let plain = open("a.jsonl", text.as_bytes()).unwrap();
        for (name, packed) in [("a.jsonl.gz", &gzip), ("misnamed.jsonl", &zstd)] {
            let input = open(name, packed).unwrap();
            assert_eq!((&input.id, input.bytes), (&plain.id, text.len() as u64), "{name}");
            let cut = open("cut", &packed[..packed.len() - 10]).unwrap_err();
            assert!(cut.to_string().contains("cannot read"), "{name}: {cut:#}");
        }
        let empty = open("empty.jsonl", b"").unwrap();
        assert_eq!(empty.bytes, 0);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            5,
            "nothing was copied"
        );
    }
}
