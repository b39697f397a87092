//! The command line, as clap types.

mod demo;
mod identity;
mod user_views;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use demo::{Demo, DemoAction, DemoRemove, DemoRun};
pub use identity::{Identity, Revoke};
pub use user_views::{Explain, UserViews};

use crate::config::Role;

/// Event pipeline for content platforms: HTTP in, each event stored exactly once in PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "momsflow",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Start with:\n  momsflow serve          everything on this machine, no configuration needed\n  momsflow status         what runs, in another terminal\n\nExit codes: 0 done, 1 found a problem, 2 wrong use or config."
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
    /// Folder for keys, the event log and the embedded PostgreSQL [default: momsflow-data; env: MOMSFLOW_DATA_DIR].
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the roles of this host until it is told to stop.
    Serve(Serve),
    /// Checks the configuration and every connection, and starts nothing.
    Check(Check),
    /// Brings the schema of both databases up to date (serve does it too).
    Migrate,
    /// Shows what runs: roles, lag by partition, rates, dead letters that wait, last errors.
    Status(Json),
    /// Prints the events as they arrive in the log.
    Tail(Tail),
    /// Lists, shows, replays and discards the events that were kept out of the store.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Shows the event catalogue.
    #[command(subcommand)]
    Events(Events),
    /// Sends history from a file or a pipe into a running serve, each line once, however often it is repeated.
    Import(Import),
    /// Sends realistic traffic of a content platform, live or back-dated, and takes it out again.
    Demo(Demo),
    /// Shows whose events are whose, and takes wrong joins back.
    #[command(subcommand)]
    Identity(Identity),
    /// Brings what is known of people up to date, explains it, and checks it.
    #[command(subcommand)]
    UserViews(UserViews),
    /// Looks after the pixel's keys.
    #[command(subcommand)]
    Pixel(Pixel),
    /// Opens psql on a database in use, to read or (--write) to change it.
    Psql(Psql),
    /// Prints how Grafana or Metabase connects to the embedded PostgreSQL: host, port, database, user, password.
    Connect(Connect),
    /// Shows the configuration in use, or describes every key.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// For programs instead of people.
#[derive(Clone, Copy, Debug, Args)]
pub struct Json {
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  momsflow serve\n  momsflow serve --roles ingest,capture --data-dir /var/lib/momsflow\n  MOMSFLOW_HTTP__LISTEN=0.0.0.0:8080 momsflow serve --config momsflow.toml"
)]
pub struct Serve {
    /// Roles to run, instead of the config's.
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Option<Vec<Role>>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  momsflow check --config momsflow.toml && systemctl restart momsflow")]
pub struct Check {
    /// Roles to check for, instead of the config's.
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    pub roles: Option<Vec<Role>>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  momsflow tail\n  momsflow tail --event 'Article Viewed' --json | jq .properties\n  momsflow tail --last 10 --no-follow"
)]
pub struct Tail {
    /// Only events of this source.
    #[arg(long)]
    pub source: Option<String>,
    /// Only events (or pages, screens) of this name.
    #[arg(long)]
    pub event: Option<String>,
    /// Only events of this user or visitor.
    #[arg(long, value_name = "ID")]
    pub person: Option<String>,
    /// Begins with up to N events of each partition that are there already.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub last: u32,
    /// Stops at the end instead of waiting for more.
    #[arg(long)]
    pub no_follow: bool,
    #[command(flatten)]
    pub output: Json,
}

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  momsflow dead-letters list\n  momsflow dead-letters show 17\n  momsflow dead-letters replay 17 --set /userId=u-42\n  momsflow dead-letters replay --code missing_name --set '/event=Order Completed'"
)]
pub enum DeadLetters {
    /// Lists those that wait, newest first.
    List {
        #[command(flatten)]
        filter: DeadLetterFilter,
        /// Also those that were replayed or discarded.
        #[arg(long)]
        all: bool,
        /// The most to list.
        #[arg(long, default_value_t = 50)]
        limit: i64,
        #[command(flatten)]
        output: Json,
    },
    /// Shows one with its payload.
    Show {
        id: i64,
        #[command(flatten)]
        output: Json,
    },
    /// Sends some again through the running serve, mended by --set.
    Replay {
        /// Ids; none means all that the filter finds.
        ids: Vec<i64>,
        #[command(flatten)]
        filter: DeadLetterFilter,
        /// Sets a place of the payload before it is sent: a JSON pointer and a JSON value (or plain text).
        #[arg(long, value_name = "/PATH=VALUE")]
        set: Vec<String>,
        /// Replays all that wait.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: Json,
    },
    /// Gives some up: the payload goes, the account of it stays.
    Discard {
        /// Ids; none means all that the filter finds.
        ids: Vec<i64>,
        #[command(flatten)]
        filter: DeadLetterFilter,
        /// Discards all that wait.
        #[arg(long)]
        all: bool,
    },
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Args)]
pub struct DeadLetterFilter {
    /// Only those with this reason, such as missing_identity.
    #[arg(long)]
    pub code: Option<String>,
    /// Only those of this source.
    #[arg(long)]
    pub source: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Events {
    /// Names, sources, counts, first and last seen, properties and their types.
    List {
        /// Only this event.
        #[arg(long)]
        event: Option<String>,
        #[command(flatten)]
        output: Json,
    },
}

/// The source of history that names none.
pub const DEFAULT_IMPORT_SOURCE: &str = "import";

#[derive(Debug, Args)]
#[command(
    after_help = "A JSONL file has one Segment event a line. A CSV file has a header; the columns type, event, name, userId, anonymousId, groupId, previousId, messageId and timestamp are the event's fields, all others its properties.\n\nEach event needs userId or anonymousId; track events need a name (event, or --event); and each needs a timestamp with its zone: 2025-03-01T12:00:00Z or 2025-03-01T12:00:00+01:00. A time without zone is refused, since nobody knows which moment it means, and so is a number.\n\nWhere each of the first 100 lines is refused, nothing is sent: something is wrong with the whole file. Later ones are kept as dead letters.\n\nA pipe is copied into the data dir first, as its lines are read several times. Repeated with the same lines, an import goes on where it was interrupted, from a pipe too.\n\nExamples:\n  momsflow import history.jsonl --dry-run\n  momsflow import history.jsonl\n  momsflow import orders.csv --event 'Order Completed' --source shop --new-source\n  momsflow import history-2025.jsonl.gz\n  ssh old-host cat export.jsonl | momsflow import - --format jsonl"
)]
pub struct Import {
    /// A .jsonl or .csv file, also packed as .gz or .zst; - is standard input.
    pub file: PathBuf,
    /// The format, where the file's name does not tell.
    #[arg(long, value_enum)]
    pub format: Option<ImportFormat>,
    /// The source that the events are stored with; one of the configuration or of events that are there.
    #[arg(long, default_value = DEFAULT_IMPORT_SOURCE)]
    pub source: String,
    /// Takes a --source that nothing knows yet.
    #[arg(long)]
    pub new_source: bool,
    /// The type of events that do not say theirs.
    #[arg(long = "type", default_value = "track")]
    pub kind: String,
    /// The name of track events that do not say theirs.
    #[arg(long)]
    pub event: Option<String>,
    /// Says what would be stored and what refused, and changes nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Goes on even where each of the first lines is refused.
    #[arg(long)]
    pub keep_going: bool,
    /// Forgets how far an earlier run came, and begins at the first line (duplicates are dropped all the same).
    #[arg(long)]
    pub restart: bool,
    #[command(flatten)]
    pub output: Json,
}

/// What an import file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    Jsonl,
    Csv,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --write nothing can be changed by mistake: on the embedded PostgreSQL psql is the read-only role of the dashboards, which sees the tables that mean something to people; on a server of your own it is the role of the URL in read-only transactions.\n\nExamples:\n  momsflow psql\n  momsflow psql events -- -c 'select count(*) from events'\n  momsflow psql views\n  momsflow psql --write -- -c 'create index on events (source)'"
)]
pub struct Psql {
    /// Which database.
    #[arg(value_enum, default_value_t = Database::Events)]
    pub database: Database,
    /// As the owner, who may change everything.
    #[arg(long)]
    pub write: bool,
    /// Go to psql as they are.
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// The two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    Events,
    Views,
}

#[derive(Debug, Args)]
pub struct Connect {
    /// Which tool: grafana reads the event store, metabase the user views.
    #[arg(value_enum)]
    pub tool: Tool,
    #[command(flatten)]
    pub output: Json,
}

/// Tools that read the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    Grafana,
    Metabase,
}

#[derive(Debug, Subcommand)]
pub enum Pixel {
    /// Lists the keys that sign visitors' cookies, or makes the next one.
    #[command(subcommand)]
    Keys(PixelKeys),
}

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Visitors keep their ids: a cookie under an older key holds until it is out of date, and is signed anew at the next visit.\n\nExamples:\n  momsflow pixel keys list\n  momsflow pixel keys rotate"
)]
pub enum PixelKeys {
    /// Shows which keys there are and which one signs; never a key itself.
    List(Json),
    /// Makes a key that signs from now on, in the running serve too. Where the keys are those of the config, prints the
    /// section to add there, on every host.
    Rotate(Json),
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints the configuration in use, without its secrets.
    Show(Json),
    /// Prints every key with its default and what it is for, as a commented TOML file.
    Reference,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        super::Cli::command().debug_assert();
    }
}
