mod rebuild;
mod revoke;
mod show;

use std::process::ExitCode;

use jiff::Timestamp;

use super::databases::open_events;
use crate::cli::Identity;
use crate::config::Config;

pub(super) async fn run(config: Config, action: Identity) -> anyhow::Result<ExitCode> {
    let mut client = open_events(&config).await?;
    match action {
        Identity::Show { id, output } => show::run(&client, &id, output).await,
        Identity::Revoke(arguments) => revoke::run(&client, arguments).await,
        Identity::Rebuild { dry_run, output } => rebuild::run(&mut client, dry_run, output).await,
    }
}

/// A time to the second.
fn shown(at: Timestamp) -> String {
    format!("{at:.0}")
}
