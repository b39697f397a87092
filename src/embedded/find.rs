//! Finds the installed PostgreSQL programs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;

/// The oldest major version that momsflow works with.
pub const OLDEST_MAJOR: u32 = 14;

/// Where packages put the programs: a folder, the beginning of its subfolders' names, and the way on from there.
const PACKAGE_FOLDERS: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// A PostgreSQL whose programs are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub bin_dir: PathBuf,
    pub major: u32,
    /// The version as the program tells it, `15.14`.
    pub version: String,
}

impl Installation {
    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    fn at(bin_dir: &Path) -> Result<Self, String> {
        for program in ["postgres", "initdb"] {
            if !bin_dir.join(program).is_file() {
                return Err(format!("there is no `{program}`"));
            }
        }
        let output = Command::new(bin_dir.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| format!("`postgres --version` failed: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (major, version) =
            parse_version(&text).ok_or_else(|| format!("`postgres --version` answered {:?}", text.trim()))?;
        Ok(Self {
            bin_dir: bin_dir.to_owned(),
            major,
            version,
        })
    }
}

/// Finds the PostgreSQL to run: of `bin_dir` alone where that is given, of the major version that made the data
/// where there is some, else the newest.
///
/// # Errors
/// When none fits, with what was found and how to install one.
pub fn find(
    bin_dir: Option<&Path>,
    cluster: &Path,
    made_by: Option<u32>,
) -> Result<Installation, EmbeddedError> {
    let found = match bin_dir {
        Some(path) => vec![bin_dir_installation(path)?],
        None => installed(&std::env::var_os("PATH").unwrap_or_default()),
    };
    choose(found, cluster, made_by, &install_hint)
}

fn bin_dir_installation(path: &Path) -> Result<Installation, EmbeddedError> {
    let refuse = |reason| EmbeddedError::BinDir {
        path: path.to_owned(),
        reason,
    };
    let installation = Installation::at(path).map_err(refuse)?;
    if installation.major < OLDEST_MAJOR {
        return Err(refuse(format!("it is version {}", installation.version)));
    }
    Ok(installation)
}

fn installed(path_variable: &std::ffi::OsStr) -> Vec<Installation> {
    let mut seen = HashSet::new();
    std::env::split_paths(path_variable)
        .filter(|folder| folder.is_absolute())
        .chain(PACKAGE_FOLDERS.iter().flat_map(package_folders))
        .filter(|folder| folder.join("postgres").is_file())
        .filter(|folder| seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())))
        .filter_map(|folder| Installation::at(&folder).ok())
        .collect()
}

fn package_folders(&(parent, prefix, rest): &(&str, &str, &str)) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(rest))
        .collect()
}

fn choose(
    found: Vec<Installation>,
    cluster: &Path,
    made_by: Option<u32>,
    hint: &dyn Fn(Option<u32>) -> String,
) -> Result<Installation, EmbeddedError> {
    let listed = list(&found);
    let mut fitting: Vec<_> = found
        .into_iter()
        .filter(|one| one.major >= OLDEST_MAJOR && made_by.is_none_or(|major| one.major == major))
        .collect();
    // Stable, so that of two with the same version the one earlier on the PATH stays first.
    fitting.sort_by_key(|one| std::cmp::Reverse(one.major));
    if let Some(best) = fitting.into_iter().next() {
        return Ok(best);
    }
    Err(match made_by {
        Some(made_by) => EmbeddedError::OtherMajor {
            cluster: cluster.to_owned(),
            made_by,
            found: listed,
            hint: hint(Some(made_by)),
        },
        None => EmbeddedError::NotInstalled {
            found: listed,
            hint: hint(None),
        },
    })
}

fn list(found: &[Installation]) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    let each: Vec<_> = found
        .iter()
        .map(|one| format!("{} in {}", one.version, one.bin_dir.display()))
        .collect();
    each.join(", ")
}

/// Reads `postgres (PostgreSQL) 15.14 (Debian …)`.
fn parse_version(text: &str) -> Option<(u32, String)> {
    let version = text.split("(PostgreSQL)").nth(1)?.split_whitespace().next()?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, version.to_owned()))
}

fn install_hint(major: Option<u32>) -> String {
    hint_for(major, &|program| Path::new(program).exists())
}

fn hint_for(major: Option<u32>, exists: &dyn Fn(&str) -> bool) -> String {
    let numbered = |prefix: &str, suffix: &str, plain: &str| match major {
        Some(major) => format!("{prefix}{major}{suffix}"),
        None => plain.to_owned(),
    };
    let command = if exists("/usr/bin/apt-get") {
        format!(
            "sudo apt-get install {}",
            numbered("postgresql-", "", "postgresql")
        )
    } else if exists("/usr/bin/dnf") {
        format!(
            "sudo dnf install {}",
            numbered("postgresql", "-server", "postgresql-server")
        )
    } else if exists("/opt/homebrew/bin/brew") || exists("/usr/local/bin/brew") {
        format!("brew install {}", numbered("postgresql@", "", "postgresql@17"))
    } else {
        return match major {
            Some(major) => format!("install PostgreSQL {major}, or name its folder as postgres.bin_dir"),
            None => {
                "install PostgreSQL, name its folder as postgres.bin_dir, or give postgres.events_url".into()
            }
        };
    };
    match major {
        Some(_) => format!("install that version: {command}"),
        None => format!("install it: {command}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version(major: u32, folder: &str) -> Installation {
        Installation {
            bin_dir: folder.into(),
            major,
            version: format!("{major}.1"),
        }
    }

    fn pick(found: Vec<Installation>, made_by: Option<u32>) -> Result<Installation, EmbeddedError> {
        choose(found, Path::new("/d/cluster"), made_by, &|major| {
            hint_for(major, &|program| program == "/usr/bin/apt-get")
        })
    }

    #[test]
    fn versions_of_several_packagers_are_read() {
        for (text, expected) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 17.2\n", Some(17)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("postgres: command not found", None),
        ] {
            assert_eq!(parse_version(text).map(|(major, _)| major), expected, "{text}");
        }
    }

    #[test]
    fn a_new_cluster_takes_the_newest_and_the_earliest_on_the_path() {
        let found = vec![version(14, "/a"), version(16, "/b"), version(16, "/c")];
        assert_eq!(pick(found, None).unwrap(), version(16, "/b"));
    }

    #[test]
    fn data_is_opened_by_the_major_version_that_made_it() {
        let found = vec![version(14, "/a"), version(16, "/b")];
        assert_eq!(pick(found, Some(14)).unwrap(), version(14, "/a"));
    }

    #[test]
    fn refusals_name_what_was_found_and_what_to_install() {
        let refused = pick(vec![version(16, "/b")], Some(15)).unwrap_err().to_string();
        assert!(refused.contains("made by PostgreSQL 15"), "{refused}");
        assert!(refused.contains("16.1 in /b"), "{refused}");
        assert!(refused.contains("apt-get install postgresql-15"), "{refused}");

        let refused = pick(vec![version(13, "/a")], None).unwrap_err().to_string();
        assert!(refused.contains("13.1 in /a"), "{refused}");
        assert!(refused.ends_with("apt-get install postgresql"), "{refused}");
    }

    #[test]
    fn the_hint_speaks_of_the_package_manager_that_is_there() {
        let with = |program: &'static str| hint_for(Some(16), &move |asked| asked == program);
        assert!(with("/usr/bin/dnf").ends_with("sudo dnf install postgresql16-server"));
        assert!(with("/opt/homebrew/bin/brew").ends_with("brew install postgresql@16"));
        assert!(with("/nowhere").contains("postgres.bin_dir"));
    }
}
