use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::Json;
use crate::demo::Anomaly;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "With --days the demo sends a history that ends last midnight, as fast as serve takes it; without, it sends live until Ctrl-C. Its events have the source `demo`. Beside a serve without [[sources]] it needs no configuration; with them it needs one of its own, and says which.\n\nThe same seed and settings make the same events with the same ids: repeated, a history adds nothing.\n\nExamples:\n  momsflow demo --days 90\n  momsflow demo --days 90 --anomaly outage --anomaly spike --truth truth.json\n  momsflow demo --rate 20\n  momsflow demo --days 30 --events 1000000 --print > events.jsonl\n  momsflow demo remove"
)]
pub struct Demo {
    #[command(subcommand)]
    pub action: Option<DemoAction>,
    #[command(flatten)]
    pub run: DemoRun,
}

#[derive(Debug, Subcommand)]
pub enum DemoAction {
    /// Takes all events of the demo out of the event store again, and what they say of who is who; asks first.
    Remove(DemoRemove),
}

#[derive(Clone, Debug, Args)]
pub struct DemoRun {
    /// Sends a history of so many days.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: Option<u32>,
    /// The first day after the history [default: today].
    #[arg(long, requires = "days", value_name = "DATE")]
    pub until: Option<Date>,
    /// Live: events a second, on average.
    #[arg(long, conflicts_with = "days", default_value_t = 10.0, value_parser = rate)]
    pub rate: f64,
    /// About how many events a history has, by how many people there are; live: stops after so many.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub events: Option<u64>,
    /// How many people there are [default: 2000; live: as many as the rate takes].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub people: Option<u32>,
    /// How many articles and videos there are, those from before included [default: 12 a day].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub articles: Option<u32>,
    /// Of the random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// By whose clock people have their habits: a name of the IANA database, such as Europe/Berlin.
    #[arg(long, default_value = "UTC")]
    pub zone: String,
    /// Plants something unusual; may be repeated.
    #[arg(long, value_enum)]
    pub anomaly: Vec<Anomaly>,
    /// Writes what is true of the events into a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Prints the events of a history as JSON lines, for momsflow import, and sends nothing.
    #[arg(long, requires = "days", conflicts_with = "json")]
    pub print: bool,
    #[command(flatten)]
    pub output: Json,
}

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "What was derived from the events, such as user views, is not changed: rebuild it. docs/demo.md says what becomes of each table.\n\nExamples:\n  momsflow demo remove --dry-run\n  momsflow demo remove --yes"
)]
pub struct DemoRemove {
    /// Does not ask.
    #[arg(long)]
    pub yes: bool,
    /// Says what it would remove, and changes nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: Json,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number of events a second, from 0.01 to 100000".to_owned()),
    }
}
