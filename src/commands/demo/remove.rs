use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use super::super::PROBLEM;
use super::super::confirm::confirmed;
use super::super::databases::{databases, open, open_events};
use super::super::import::meter::Meter;
use super::super::import::send::settle;
use super::super::output::{self, line};
use crate::cli::DemoRemove;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::client::{Client as Control, ControlError};
use crate::control::demo::DEMO_SOURCE;
use crate::store::removal::{self, MonthOfSource, Removed};
use crate::store::views;

/// Capture counts properties apart from events and writes them so much later, at the latest.
const CATALOGUE_DELAY: Duration = Duration::from_secs(12);

pub(super) async fn run(config: &Config, arguments: &DemoRemove) -> anyhow::Result<ExitCode> {
    let mut client = open_events(config).await?;
    let control = Control::new(&config.data_dir);
    let is_served = wait_for_capture(&control).await?;
    let months = removal::months(&client, DEMO_SOURCE).await?;
    let events: i64 = months.iter().map(|month| month.events).sum();
    if !arguments.output.json {
        describe(&months, events)?;
    }
    if arguments.dry_run {
        return told(arguments, events, None);
    }
    if events == 0 {
        return told(arguments, events, Some(&Removed::default()));
    }
    if !arguments.yes && !confirmed("remove", "Remove them?")? {
        line("nothing was changed")?;
        return Ok(ExitCode::from(PROBLEM));
    }
    if is_served {
        // Whoever still sends is shut out; then all that came is stored.
        control.post::<()>("/demo/end", &()).await?;
        wait_for_capture(&control).await?;
        wait_for_catalogue(&client).await?;
    }
    let removed = removal::remove(&mut client, DEMO_SOURCE, Clock::system().now()).await?;
    views::ask_for_rebuild(&open(&databases(config)?.views).await?).await?;
    if !is_served {
        eprintln!(
            "no momsflow serves from {}: what the log still holds of the demo is stored when one does; repeat it then",
            config.data_dir.display()
        );
    }
    told(arguments, events, Some(&removed))
}

/// Waits until all that the log holds is stored; `false` where no serve runs here.
async fn wait_for_capture(control: &Control) -> anyhow::Result<bool> {
    let mut meter = Meter::new(0, "event");
    let settled = settle(control, &mut meter).await;
    meter.finish();
    match settled {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.downcast_ref(), Some(ControlError::NotRunning { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn wait_for_catalogue(client: &Client) -> anyhow::Result<()> {
    if let Some(stored_at) = removal::last_stored(client).await? {
        let age = Clock::system().now().duration_since(stored_at);
        let age = Duration::try_from(age).unwrap_or_default();
        tokio::time::sleep(CATALOGUE_DELAY.saturating_sub(age)).await;
    }
    Ok(())
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
            "They go with their counts, and so do the joins that only they say. Other sources' events stay as they are, and what is \
             known of people is made anew at the next run of user-views.\n",
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
