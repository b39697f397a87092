use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::super::PROBLEM;
use super::super::output::{self, line};
use super::plan::Plan;
use crate::cli::Json;
use crate::demo::{Anomaly, Kind, Truth};

/// What the event store holds afterwards.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    /// Events of this world, whichever run brought them.
    pub(super) of_this: u64,
    /// Events of other sources than the demo.
    pub(super) of_others: u64,
}

/// Says what is true, and whether it is stored.
pub(super) fn report(
    truth: &Truth,
    plan: &Plan,
    stored: Stored,
    took: Duration,
    output: Json,
) -> anyhow::Result<ExitCode> {
    let missing = truth.events.total.saturating_sub(stored.of_this);
    if output.json {
        output::json(&json!({
            "world": truth.world,
            "events": truth.events,
            "people_by_kind": truth.people_by_kind,
            "anomalies": truth.anomalies,
            "stored": stored.of_this,
            "seconds": took.as_secs_f64(),
        }))?;
    } else {
        people(truth, plan, stored, took)?;
    }
    if missing > 0 {
        eprintln!(
            "PROBLEM: {missing} of {} events are not stored",
            truth.events.total
        );
        return Ok(ExitCode::from(PROBLEM));
    }
    Ok(ExitCode::SUCCESS)
}

fn people(truth: &Truth, plan: &Plan, stored: Stored, took: Duration) -> anyhow::Result<()> {
    let (world, events) = (&truth.world, &truth.events);
    line(&format!(
        "World {} (seed {}): {} events from {:.0} to {:.0}, sent in {:.1} s; {} stored",
        world.tag,
        world.seed,
        events.total,
        world.from,
        if plan.until.is_some() {
            world.to
        } else {
            crate::clock::Clock::system().now()
        },
        took.as_secs_f64(),
        stored.of_this
    ))?;
    line(&format!(
        "Of these {} of robots, {} told late. Sent twice and stored once: {}\n",
        events.bots, events.late, events.duplicates
    ))?;
    let count = |(name, count): (&str, u64)| vec![name.to_owned(), count.to_string()];
    let mut names: Vec<_> = events.by_name.iter().collect();
    names.sort_by_key(|(_, events)| std::cmp::Reverse(**events));
    let rows: Vec<_> = names
        .into_iter()
        .map(|(name, events)| count((name, *events)))
        .collect();
    output::table(&["EVENT", "COUNT"], &rows)?;
    line("")?;
    let kinds = truth.people_by_kind.iter();
    let rows: Vec<_> = kinds
        .map(|(kind, people)| count((name(*kind), (*people).into())))
        .collect();
    output::table(&["KIND", "PEOPLE"], &rows)?;
    if !truth.anomalies.is_empty() {
        line("")?;
    }
    for anomaly in &truth.anomalies {
        let what = match anomaly.kind {
            Anomaly::Outage => "outage",
            Anomaly::Spike => "spike",
            Anomaly::BotWave => "bot wave",
        };
        line(&format!("{what}: {:.0} to {:.0}", anomaly.from, anomaly.to))?;
    }
    hints(plan, stored)
}

fn hints(plan: &Plan, stored: Stored) -> anyhow::Result<()> {
    if let Some(until) = plan.until {
        line(&format!(
            "\nThe same again adds nothing; on another day with --until {until}."
        ))?;
    }
    if stored.of_others > 0 {
        line(&format!(
            "\nEvents of other sources in this event store: {}",
            stored.of_others
        ))?;
    }
    line("\nLook:    momsflow events list")?;
    line("Remove:  momsflow demo remove")
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::DailyReader => "daily reader",
        Kind::RecipeReader => "recipe reader",
        Kind::WeekendBrowser => "weekend browser",
        Kind::NewsSkimmer => "news skimmer",
        Kind::Contributor => "contributor",
        Kind::Lurker => "lurker",
        Kind::Churner => "churner",
        Kind::Resurrected => "resurrected",
        Kind::Buyer => "buyer",
        Kind::PasserBy => "passer-by",
        Kind::Bot => "robot",
    }
}
