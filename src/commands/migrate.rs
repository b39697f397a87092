use std::process::ExitCode;

use super::databases::databases;
use super::output;
use crate::config::Config;
use crate::store::migrate::{Database, migrate};

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let databases = databases(&config)?;
    for (database, connection) in [
        (Database::Events, &databases.events),
        (Database::Views, &databases.views),
    ] {
        let report = migrate(connection, database).await?;
        let applied = match report.applied.len() {
            0 => "nothing to do".to_owned(),
            _ => format!("applied {}", report.applied.join(", ")),
        };
        output::line(&format!("{database}: version {}, {applied}", report.version))?;
    }
    Ok(ExitCode::SUCCESS)
}
