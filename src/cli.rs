//! The command line, as clap types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Role;

/// Event pipeline for content platforms: HTTP in, each event stored exactly once in PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "momsflow",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every subcommand takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Config file (TOML); without one every default applies.
    #[arg(long, global = true, env = "MOMSFLOW_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for keys, the event log and the embedded PostgreSQL.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the roles of this host until it is told to stop.
    Serve(Serve),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  momsflow serve\n  momsflow serve --roles ingest,capture --data-dir /var/lib/momsflow"
)]
pub struct Serve {
    /// Roles to run, instead of the config's.
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Option<Vec<Role>>,
}
