use std::process::ExitCode;

use tokio_postgres::Client;

use super::super::PROBLEM;
use super::super::output::{self, line, printable};
use super::shown;
use crate::cli::Json;
use crate::store::identity::look::{Claim, Known, Link, look};

pub(super) async fn run(client: &Client, id: &str, as_json: Json) -> anyhow::Result<ExitCode> {
    let known = look(client, id).await?;
    if as_json.json {
        output::json(&known)?;
    } else if known.is_anybody() {
        print(&known)?;
    } else {
        line(&format!(
            "nothing is known of {}\n\n\
             hint: ids are compared letter by letter; momsflow tail --person ID shows whether events of it arrive",
            printable(id)
        ))?;
    }
    Ok(if known.is_anybody() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEM)
    })
}

fn print(known: &Known) -> anyhow::Result<()> {
    let is_user = known.user.events > 0 || known.links.iter().any(|link| link.user_id == known.id);
    if is_user {
        print_user(known)?;
    }
    if !known.shares.is_empty() || known.joins().next().is_some() {
        print_visitor(known)?;
    }
    if !is_user && known.user.claimed_events > 0 {
        line(&printable(&known.id))?;
        print_claimed_events(known)?;
    }
    if let Some(at) = known.forgotten_at {
        line(&format!(
            "{} asked to be forgotten: events accepted after {} are not stored",
            printable(&known.id),
            shown(at)
        ))?;
    }
    print_links(known)?;
    print_claims(known)
}

fn print_user(known: &Known) -> anyhow::Result<()> {
    line(&format!("{}, a user", printable(&known.id)))?;
    let user = &known.user;
    match (user.first_event_at, user.last_event_at) {
        (Some(first), Some(last)) => line(&format!(
            "  events that name this user: {}, {} to {}",
            user.events,
            shown(first),
            shown(last)
        ))?,
        _ => line("  events that name this user: none of a trusted source")?,
    }
    let devices = known.links.iter().filter(|link| link.user_id == known.id);
    let joined: i64 = devices.map(|link| link.joined_events).sum();
    line(&format!("  events joined by the edges below: {joined}"))?;
    print_claimed_events(known)
}

fn print_claimed_events(known: &Known) -> anyhow::Result<()> {
    match known.user.claimed_events {
        0 => Ok(()),
        claimed => line(&format!(
            "  events of sources that are not trusted: {claimed}, which are not believed"
        )),
    }
}

fn print_visitor(known: &Known) -> anyhow::Result<()> {
    line(&format!("{}, an anonymous id", printable(&known.id)))?;
    match known.users()[..] {
        [] => line("  belongs to no user")?,
        [user] => line(&format!(
            "  belongs to {}, with all of its events that name no user",
            printable(user)
        ))?,
        ref users => line(&format!(
            "  shared by {}: its events that name no user are nobody's, but in sessions in which exactly one of them was \
             signed in",
            printable(&users.join(", "))
        ))?,
    }
    for share in &known.shares {
        line(&format!(
            "  events of {}: {}, {} of them signed in, {} to {}",
            match &share.user_id {
                Some(user) => printable(user),
                None => "nobody else".to_owned(),
            },
            share.events,
            share.signed_in_events,
            shown(share.first_event_at),
            shown(share.last_event_at)
        ))?;
    }
    Ok(())
}

fn print_links(known: &Known) -> anyhow::Result<()> {
    if known.links.is_empty() {
        return Ok(());
    }
    let row = |link: &Link| {
        vec![
            link.edge_id.to_string(),
            printable(&link.anonymous_id),
            printable(&link.user_id),
            format!("{} ({})", link.evidence, printable(&link.source)),
            shown(link.first_seen_at),
            link.last_seen_on.to_string(),
            link.joined_events.to_string(),
            state(link),
        ]
    };
    let rows: Vec<_> = known.links.iter().map(row).collect();
    line("")?;
    output::table(
        &[
            "EDGE",
            "ANONYMOUS ID",
            "USER",
            "EVIDENCE",
            "FIRST SEEN",
            "LAST SEEN",
            "JOINS",
            "STATE",
        ],
        &rows,
    )?;
    print_rest(known.total_links - known.links.len() as i64)
}

fn state(link: &Link) -> String {
    match (link.revoked_at, &link.reason) {
        (Some(at), Some(reason)) => format!("revoked {}: {}", shown(at), printable(reason)),
        (Some(at), None) => format!("revoked {}", shown(at)),
        (None, _) if link.names_two_users => "two users, which are never merged".to_owned(),
        (None, _) if link.is_shared => "shared".to_owned(),
        (None, _) => "holds".to_owned(),
    }
}

fn print_claims(known: &Known) -> anyhow::Result<()> {
    if known.claims.is_empty() {
        return Ok(());
    }
    let row = |claim: &Claim| {
        vec![
            printable(&claim.anonymous_id),
            printable(&claim.user_id),
            format!("{} ({})", claim.evidence, printable(&claim.source)),
            shown(claim.first_seen_at),
            claim.last_seen_on.to_string(),
        ]
    };
    let rows: Vec<_> = known.claims.iter().map(row).collect();
    line("\nClaims of sources that are not trusted, which join nothing:")?;
    output::table(
        &["ANONYMOUS ID", "USER", "EVIDENCE", "FIRST SEEN", "LAST SEEN"],
        &rows,
    )?;
    print_rest(known.total_claims - known.claims.len() as i64)
}

fn print_rest(rest: i64) -> anyhow::Result<()> {
    match rest {
        0 => Ok(()),
        rest => line(&format!("… and {rest} more")),
    }
}
