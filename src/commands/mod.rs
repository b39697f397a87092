//! One file a subcommand. Exit codes: 0 done, 1 found a problem, 2 wrong use or config.

mod check;
mod config;
mod confirm;
mod connect;
mod databases;
mod dead_letters;
mod demo;
mod events;
mod identity;
mod import;
mod losses;
mod migrate;
mod output;
mod pixel;
mod psql;
mod serve;
mod status;
mod tail;
mod user_views;

use std::collections::HashMap;
use std::process::ExitCode;

use crate::cli::{Cli, Command, Global};
use crate::config::{Config, ConfigError, Overrides, Role};

/// Exit code for a problem that was found.
const PROBLEM: u8 = 1;
/// Exit code for wrong use or configuration.
const WRONG_USE: u8 = 2;

/// Runs a parsed command line.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_wrong_use = error
                .chain()
                .any(|cause| cause.is::<ConfigError>() || cause.is::<WrongUse>());
            ExitCode::from(if is_wrong_use { WRONG_USE } else { PROBLEM })
        }
    }
}

/// The caller has to say something else.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = cli.global;
    match cli.command {
        Command::Serve(arguments) => serve::run(load_all(&global, arguments.roles)?),
        Command::Check(arguments) => block_on(check::run(load_all(&global, arguments.roles)?)),
        Command::Migrate => block_on(migrate::run(load(&global)?)),
        Command::Status(output) => block_on(status::run(load(&global)?, output)),
        Command::Tail(arguments) => block_on(tail::run(load(&global)?, arguments)),
        Command::DeadLetters(action) => block_on(dead_letters::run(load(&global)?, action)),
        Command::Events(action) => block_on(events::run(load(&global)?, action)),
        Command::Import(arguments) => block_on(import::run(load(&global)?, arguments)),
        Command::Demo(arguments) => block_on(demo::run(load(&global)?, arguments)),
        Command::Identity(action) => block_on(identity::run(load(&global)?, action)),
        Command::UserViews(action) => block_on(user_views::run(load(&global)?, action)),
        Command::Pixel(action) => block_on(pixel::run(load(&global)?, action)),
        Command::Psql(arguments) => psql::run(&load(&global)?, arguments),
        Command::Connect(arguments) => connect::run(&load(&global)?, arguments),
        Command::Config(action) => config::run(&global, action),
    }
}

/// The configuration that file, environment and flags make together.
fn load(global: &Global) -> Result<Config, ConfigError> {
    load_with(global, None, false)
}

/// As [`load`], for a command that takes events.
fn load_all(global: &Global, roles: Option<Vec<Role>>) -> Result<Config, ConfigError> {
    load_with(global, roles, true)
}

fn load_with(global: &Global, roles: Option<Vec<Role>>, needs_keys: bool) -> Result<Config, ConfigError> {
    let overrides = Overrides {
        needs_keys,
        config: global.config.clone(),
        data_dir: global.data_dir.clone(),
        roles,
    };
    let env: HashMap<String, String> = std::env::vars().collect();
    crate::config::load(&overrides, &env)
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}
