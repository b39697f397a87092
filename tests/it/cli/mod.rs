//! The subcommands as users run them. Exit codes: 0 done, 1 found a problem, 2 wrong use or config.

mod check;
mod config;
mod dead_letters;
mod help;
mod import;
mod look;
mod serve_twice;

use std::process::Command;

use tokio::sync::OnceCell;

use super::serve::{Ran, Serve, momsflow, run};

/// A source a test, so that tests which share a serve do not see each other's events.
const SOURCES: &str = r#"
[[sources]]
name = "letters"
key = "letters-key"
trusted = true

[[sources]]
name = "website"
key = "website-key"

[[sources]]
name = "app"
key = "app-key"
"#;

static SHARED: OnceCell<Serve> = OnceCell::const_new();

/// One serve for all tests that only look and send; it ends with the test process.
async fn shared() -> &'static Serve {
    SHARED.get_or_init(|| Serve::start(SOURCES)).await
}

/// Runs the binary beside no serve at all, in a folder of its own.
async fn alone(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    run(in_folder(folder.path(), arguments)).await
}

fn in_folder(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = momsflow();
    command.args(arguments).current_dir(folder);
    command
}
