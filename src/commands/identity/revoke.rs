use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Client;

use super::super::PROBLEM;
use super::super::confirm::confirmed;
use super::super::output::{self, line, printable};
use super::shown;
use crate::cli::Revoke;
use crate::clock::Clock;
use crate::store::identity::look::Link;
use crate::store::identity::revoke::{Change, find, preview, revoke};

pub(super) async fn run(client: &Client, arguments: Revoke) -> anyhow::Result<ExitCode> {
    let Revoke {
        edge,
        reason,
        yes,
        dry_run,
        output: as_json,
    } = arguments;
    let Some(link) = find(client, edge).await? else {
        bail!(
            "there is no edge {edge}\n\nhint: momsflow identity show ID lists the edges of a user or an anonymous id"
        );
    };
    if let Some(at) = link.revoked_at {
        return told(
            as_json.json,
            &link,
            &[],
            Some(at),
            &format!("edge {edge} is revoked since {}", shown(at)),
        );
    }
    let changes = preview(client, &link).await?;
    if !as_json.json {
        describe(&link, &changes)?;
    }
    if dry_run {
        return told(as_json.json, &link, &changes, None, "nothing was changed");
    }
    if !yes && !confirmed("revoke", "Revoke it?")? {
        line("nothing was changed")?;
        return Ok(ExitCode::from(PROBLEM));
    }
    let now = Clock::system().now();
    revoke(client, &link, reason.as_deref(), now).await?;
    told(
        as_json.json,
        &link,
        &changes,
        Some(now),
        &format!("revoked edge {edge}"),
    )
}

fn told(
    as_json: bool,
    link: &Link,
    changes: &[Change],
    revoked_at: Option<Timestamp>,
    text: &str,
) -> anyhow::Result<ExitCode> {
    if as_json {
        output::json(&json!({
            "edge_id": link.edge_id,
            "anonymous_id": link.anonymous_id,
            "user_id": link.user_id,
            "changes": changes,
            "revoked_at": revoked_at,
        }))?;
    } else {
        line(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(link: &Link, changes: &[Change]) -> anyhow::Result<()> {
    let (visitor, user) = (printable(&link.anonymous_id), printable(&link.user_id));
    line(&format!(
        "edge {}: {visitor} is {user}, by {} ({}), first seen {}",
        link.edge_id,
        link.evidence,
        printable(&link.source),
        shown(link.first_seen_at)
    ))?;
    line("\nRevoking it would change:")?;
    if changes.is_empty() {
        line("  no event that is stored now")?;
    }
    for change in changes {
        let person = |who: &Option<String>| match who {
            Some(user) => printable(user),
            None => "the visitor alone".to_owned(),
        };
        line(&format!(
            "  {} from {} to {}",
            events(change.events),
            person(&change.from),
            person(&change.to)
        ))?;
    }
    line(&format!(
        "Events that name {user} themselves stay {user}'s. It is for ever: no later identify joins the two again.\n"
    ))
}

fn events(count: i64) -> String {
    format!("{count} event{}", if count == 1 { "" } else { "s" })
}
