use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use super::super::PROBLEM;
use super::super::confirm::confirmed;
use super::super::databases::open_events;
use super::super::import::meter::Meter;
use super::super::import::send::settle;
use super::super::output::{self, line};
use crate::cli::DemoRemove;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::client::{Client as Control, ControlError};
use crate::control::demo::DEMO_SOURCE;
use crate::store::removal::{self, MonthOfSource, Removed};

/// Capture counts properties apart from events and writes them so much later, at the latest.
const CATALOGUE_DELAY: Duration = Duration::from_secs(12);

pub(super) async fn run(config: &Config, arguments: &DemoRemove) -> anyhow::Result<ExitCode> {
    let mut client = open_events(config).await?;
    let months = removal::months(&client, DEMO_SOURCE).await?;
    let events: i64 = months.iter().map(|month| month.events).sum();
    if !arguments.output.json {
        describe(&months, events)?;
    }
    if arguments.dry_run {
        return told(arguments, events, None);
    }
    if !arguments.yes && !confirmed("remove", "Remove them?")? {
        line("nothing was changed")?;
        return Ok(ExitCode::from(PROBLEM));
    }
    let control = Control::new(&config.data_dir);
    let is_quiet = wait_for_capture(&control, &client).await?;
    let removed = removal::remove(&mut client, DEMO_SOURCE, Clock::system().now()).await?;
    if !is_quiet {
        eprintln!(
            "no momsflow serves from {}: what the log still holds of the demo is stored when one does; repeat it then",
            config.data_dir.display()
        );
    }
    told(arguments, events, Some(&removed))
}

/// Takes the demo's key back and waits until all that it sent is stored; `false` where no serve runs here.
async fn wait_for_capture(control: &Control, client: &Client) -> anyhow::Result<bool> {
    match control.post::<()>("/demo/end", &()).await {
        Ok(()) => {}
        Err(ControlError::NotRunning { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let mut meter = Meter::new(0, "event");
    settle(control, &mut meter).await?;
    meter.finish();
    let now = Clock::system().now();
    if let Some(stored_at) = removal::last_stored(client).await? {
        let age = Duration::try_from(now.duration_since(stored_at)).unwrap_or_default();
        tokio::time::sleep(CATALOGUE_DELAY.saturating_sub(age)).await;
    }
    Ok(true)
}

fn describe(months: &[MonthOfSource], events: i64) -> anyhow::Result<()> {
    line(&format!("Events of the source {DEMO_SOURCE}: {events}"))?;
    for month in months {
        let closed = if month.is_open { "" } else { ", closed: they stay" };
        line(&format!(
            "  {}: {}{closed}",
            month.month.strftime("%Y-%m"),
            month.events
        ))?;
    }
    if events > 0 {
        line(
            "They go with their counts, and so do the joins that only they say. Other sources' events stay as they are.\n",
        )?;
    }
    Ok(())
}

fn told(arguments: &DemoRemove, events: i64, removed: Option<&Removed>) -> anyhow::Result<ExitCode> {
    if arguments.output.json {
        output::json(&json!({"events": events, "removed": removed}))?;
    } else {
        match removed {
            None => line("nothing was changed")?,
            Some(removed) => line(&format!(
                "removed {} events, {} joins of visitors and users, {} dead letters",
                removed.events, removed.edges, removed.dead_letters
            ))?,
        }
    }
    match removed {
        Some(removed) if removed.left > 0 => {
            eprintln!("PROBLEM: {} events are in closed months and stay", removed.left);
            Ok(ExitCode::from(PROBLEM))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
