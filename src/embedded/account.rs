//! The user that PostgreSQL runs as, which is never root.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tracing::warn;

use super::error::{During, EmbeddedError};

const PREFERRED: [&str; 2] = ["postgres", "nobody"];

/// An unprivileged user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// Chooses whom PostgreSQL runs as; `None` is this process's own user. Only root can and must choose another:
    /// whoever owns the cluster, else `postgres`, else `nobody`.
    pub fn choose(data_dir: &Path) -> Result<Option<Self>, EmbeddedError> {
        let cluster = data_dir.join("postgres").join("cluster");
        let own = rustix::process::geteuid();
        let owner = fs::metadata(&cluster)
            .ok()
            .map(|found| (found.uid(), found.gid()));
        match owner {
            Some((uid, _)) if !own.is_root() && uid != own.as_raw() => Err(EmbeddedError::OtherOwner {
                path: cluster,
                owner: uid,
            }),
            _ if !own.is_root() => Ok(None),
            owner => {
                let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
                let account = pick(&users, owner).ok_or(EmbeddedError::NoAccount)?;
                if account.name == "nobody" && owner.is_none() {
                    warn!("there is no user `postgres`, so PostgreSQL runs as `nobody`");
                }
                Ok(Some(account))
            }
        }
    }

    /// Makes a command run as this user, with its primary group alone.
    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or folder to this user.
    pub fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        chown(path, Some(self.uid), Some(self.gid))
            .during(|| format!("giving {} to the user {}", path.display(), self.name))
    }

    /// Whether the permissions let this user pass through a folder.
    pub fn may_enter(&self, folder: &Metadata) -> bool {
        let bit = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & bit != 0
    }

    /// Refuses a data dir that this user cannot reach.
    pub async fn check_path(&self, folder: &Path) -> Result<(), EmbeddedError> {
        let Some(blocked) = self.first_blocked(folder) else {
            return Ok(());
        };
        // Access control lists may allow what the mode does not show, so the system has the last word.
        let mut probe = Command::new("/bin/sh");
        probe.args(["-c", ":"]).current_dir(folder).kill_on_drop(true);
        self.apply(&mut probe);
        match probe.status().await {
            Ok(_) => Ok(()),
            Err(_) => Err(EmbeddedError::NotTraversable {
                account: self.name.clone(),
                folder: blocked,
            }),
        }
    }

    fn first_blocked(&self, folder: &Path) -> Option<PathBuf> {
        let mut ancestors: Vec<_> = folder.ancestors().collect();
        ancestors.reverse();
        ancestors
            .into_iter()
            .find(|one| fs::metadata(one).is_ok_and(|metadata| !self.may_enter(&metadata)))
            .map(Path::to_owned)
    }
}

/// Whether the user that PostgreSQL will run as can reach a data dir, which need not be there yet. Changes nothing.
///
/// # Errors
/// When there is no such user, the cluster belongs to somebody else, or a folder on the way is closed.
pub async fn check_access(data_dir: &Path) -> Result<(), EmbeddedError> {
    let Some(account) = Account::choose(data_dir)? else {
        return Ok(());
    };
    let whole = data_dir
        .canonicalize()
        .or_else(|_| std::path::absolute(data_dir))
        .during(|| format!("reading {}", data_dir.display()))?;
    // The data dir itself is momsflow's own, which opens it for this user at its start.
    let above = whole.ancestors().skip(1).find(|folder| folder.is_dir());
    match above {
        Some(folder) => {
            let folder = folder
                .canonicalize()
                .during(|| format!("reading {}", folder.display()))?;
            account.check_path(&folder).await
        }
        None => Ok(()),
    }
}

/// Picks from the lines of /etc/passwd; a cluster's owner needs no line there.
fn pick(users: &str, owner: Option<(u32, u32)>) -> Option<Account> {
    let known: Vec<_> = users.lines().filter_map(parse).collect();
    match owner {
        Some((uid, gid)) if uid != 0 => Some(known.into_iter().find(|user| user.uid == uid).unwrap_or_else(
            || Account {
                name: format!("with uid {uid}"),
                uid,
                gid,
            },
        )),
        _ => PREFERRED
            .iter()
            .find_map(|name| known.iter().find(|user| user.name == *name && user.uid != 0))
            .cloned(),
    }
}

fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n# note\nnobody:x:65534:65534::/:/sbin/nologin\n";

    fn picked(users: &str, owner: Option<(u32, u32)>) -> Option<(String, u32, u32)> {
        pick(users, owner).map(|user| (user.name, user.uid, user.gid))
    }

    #[test]
    fn postgres_is_preferred_and_nobody_stands_in() {
        let with_postgres = format!("{USERS}postgres:x:101:104::/var/lib/postgresql:/bin/bash\n");
        assert_eq!(picked(&with_postgres, None), Some(("postgres".into(), 101, 104)));
        assert_eq!(picked(USERS, None), Some(("nobody".into(), 65534, 65534)));
        assert_eq!(picked("root:x:0:0::/root:/bin/sh", None), None);
    }

    #[test]
    fn an_existing_cluster_keeps_its_owner() {
        assert_eq!(
            picked(USERS, Some((1000, 1001))),
            Some(("with uid 1000".into(), 1000, 1001))
        );
        assert_eq!(
            picked(USERS, Some((65534, 1))),
            Some(("nobody".into(), 65534, 65534))
        );
    }

    #[test]
    fn the_first_folder_that_blocks_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let closed = folder.path().join("closed");
        fs::create_dir_all(closed.join("data")).expect("a folder");
        for path in [folder.path(), &closed] {
            let mode = if path == closed { 0o700 } else { 0o755 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let stranger = Account {
            name: "stranger".into(),
            uid: 4_000_000,
            gid: 4_000_000,
        };
        assert_eq!(stranger.first_blocked(&closed.join("data")), Some(closed));
    }
}
