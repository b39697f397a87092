use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;

use super::output;
use crate::cli::{Connect, Tool};
use crate::config::Config;
use crate::embedded::{EVENTS_DATABASE, READER, VIEWS_DATABASE, connection_of};

/// What a dashboard's data source form asks for.
#[derive(Serialize)]
struct DataSource {
    host: &'static str,
    port: u16,
    database: &'static str,
    user: &'static str,
    password: String,
}

pub(super) fn run(config: &Config, arguments: Connect) -> anyhow::Result<ExitCode> {
    if config.postgres.is_external() {
        bail!(
            "the databases are servers of your own (postgres.events_url)\n\n\
             hint: use a role of yours there that may only read"
        );
    }
    let connections = connection_of(&config.data_dir)?;
    let source = DataSource {
        host: "127.0.0.1",
        port: connections.port(),
        database: match arguments.tool {
            Tool::Grafana => EVENTS_DATABASE,
            Tool::Metabase => VIEWS_DATABASE,
        },
        user: READER,
        password: connections.reader_password().reveal().to_owned(),
    };
    if arguments.output.json {
        output::json(&source)?;
    } else {
        output::line(&format!(
            "host      {}\nport      {}\ndatabase  {}\nuser      {}\npassword  {}",
            source.host, source.port, source.database, source.user, source.password
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
