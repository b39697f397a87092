use std::process::ExitCode;

use super::databases::open_events;
use super::output::{self, printable};
use crate::cli::Events;
use crate::config::Config;
use crate::store::catalog::{self, CatalogEntry, CatalogProperty};

pub(super) async fn run(config: Config, action: Events) -> anyhow::Result<ExitCode> {
    let Events::List {
        event,
        output: as_json,
    } = action;
    let client = open_events(&config).await?;
    let entries = catalog::list(&client, event.as_deref()).await?;
    if as_json.json {
        output::json(&entries)?;
    } else if entries.is_empty() {
        output::line("no events yet")?;
    } else {
        for entry in &entries {
            print(entry)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(entry: &CatalogEntry) -> anyhow::Result<()> {
    let name = if entry.event.is_empty() {
        "(no name)"
    } else {
        &entry.event
    };
    output::line(&format!(
        "{} · {} · {} · {} event{}, {:.0} to {:.0}",
        printable(name),
        entry.kind,
        entry.source,
        entry.events,
        if entry.events == 1 { "" } else { "s" },
        entry.first_seen_at,
        entry.last_seen_at
    ))?;
    for property in &entry.properties {
        output::line(&format!(
            "    {}: {}",
            printable(&property.property),
            types(property)
        ))?;
    }
    Ok(())
}

fn types(property: &CatalogProperty) -> String {
    let mut types: Vec<_> = property.types.iter().collect();
    types.sort_by_key(|(_, seen)| -**seen);
    let names: Vec<_> = types
        .iter()
        .map(|(name, seen)| format!("{name} {seen}"))
        .collect();
    match property.conflicts() {
        0 => names.join(", "),
        conflicts => format!("{}  ← {conflicts} of another type", names.join(", ")),
    }
}
