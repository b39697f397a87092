use std::process::ExitCode;

use serde_json::json;
use tokio_postgres::Client;

use super::super::output::{self, line};
use crate::cli::Json;
use crate::store::identity::rebuild::{Found, Rebuild};

pub(super) async fn run(client: &mut Client, dry_run: bool, as_json: Json) -> anyhow::Result<ExitCode> {
    let mut rebuild = Rebuild::begin(client).await?;
    let months = rebuild.months().await?;
    // Before the edges, since it is the smaller part and the more urgent one.
    let wishes = rebuild.wishes(!dry_run).await?;
    let mut found = Found::default();
    for (number, month) in months.iter().enumerate() {
        let of_month = rebuild.month(*month, !dry_run).await?;
        found.add(of_month);
        let day = month.first_day();
        eprintln!(
            "{:04}-{:02} ({} of {}): {}",
            day.year(),
            day.month(),
            number + 1,
            months.len(),
            counted(of_month)
        );
    }
    if as_json.json {
        output::json(&json!({
            "months": months.len(),
            "edges": found.edges,
            "claims": found.claims,
            "wishes": wishes,
            "dry_run": dry_run,
        }))?;
    } else {
        let verb = if dry_run { "would add" } else { "added" };
        line(&format!(
            "{verb} {} and {} to be forgotten; what was there before stays, and so do revocations",
            counted(found),
            plural(wishes, "wish", "wishes")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(found: Found) -> String {
    format!(
        "{}, {}",
        plural(found.edges, "edge", "edges"),
        plural(found.claims, "claim", "claims")
    )
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
