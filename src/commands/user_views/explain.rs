use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use super::super::output::{line, printable};
use crate::roles::user_views::UserViews;
use crate::store::views::{Schema, find_person, read_shares, use_schema};
use crate::views::step::Person;
use crate::views::{Affinity, Patience, PersonKey, Stage, UserView, Zone, timestamp};

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

pub(super) async fn run(views: &UserViews, id: &str) -> anyhow::Result<ExitCode> {
    let mut client = views.views.get().await?;
    let transaction = client.transaction().await?;
    use_schema(&transaction, Schema::Live).await?;
    let Some((person, anonymous_ids)) = find_person(&transaction, id).await? else {
        bail!(
            "nothing is known of {}\n\nhint: momsflow user-views run brings the views up to date",
            printable(id)
        );
    };
    let shares = read_shares(&transaction).await?;
    let today = views.zone.day(views.clock.now());
    let Some(view) = UserView::new(&person.key, anonymous_ids, &person.state, &shares, today) else {
        bail!("nothing has happened yet of what is known of {}", printable(id));
    };
    for sentence in sentences(&person, &view, &views.zone, views.clock.now()) {
        line(&sentence)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sentences(person: &Person, view: &UserView, zone: &Zone, now: Timestamp) -> Vec<String> {
    let state = &person.state;
    let who = match &person.key {
        PersonKey::User(id) => format!(
            "{}, a user with {} known browsers or devices",
            printable(id),
            view.anonymous_ids_count
        ),
        PersonKey::Visitor(id) => format!("{}, a visitor of whom nobody knows who it is", printable(id)),
    };
    let mut sentences = vec![
        who,
        format!("  person_id: {}", view.person_id),
        format!(
            "  seen from {:.0} to {:.0}, on {} days, in {} sessions with {} events",
            timestamp(state.first_seen),
            timestamp(state.last_seen),
            state.days.len(),
            state.sessions,
            state.counts.events
        ),
        stage(view, zone, now),
        format!(
            "  rfv_tier {}: {} of 100 points for the 28 days before today (30 for how short ago, 40 for how often, 30 for how much)",
            view.rfv_tier, view.rfv_score
        ),
        format!(
            "  reads {} contents, {} of them to the end: completion_rate {:.2}; {} s of attention",
            state.reads, state.completed_reads, view.completion_rate, state.engaged_seconds
        ),
    ];
    if let (Some(hour), Some(weekday)) = (view.preferred_hour, view.preferred_weekday) {
        sentences.push(format!(
            "  preferred_hour {hour}: active in it on {} of {} days; preferred_weekday {}",
            state.hours[hour.unsigned_abs() as usize],
            state.days.len(),
            WEEKDAYS[weekday.unsigned_abs() as usize - 1]
        ));
    }
    sentences.extend(liked("topics", &view.topics));
    sentences.extend(liked("authors", &view.authors));
    sentences
}

/// At risk since 3 November: 24 days without a visit, usual gap 4.
fn stage(view: &UserView, zone: &Zone, now: Timestamp) -> String {
    let state = &view.state;
    let today = zone.day(now);
    let last = state.days.iter_back(today).next().unwrap_or(today);
    let silence = today.0 - last.0;
    let patience = Patience::with(&state.days, last);
    let since = view.stage_since.date();
    let name = view.stage.as_str();
    let why = match view.stage {
        Stage::New => "the first visit is less than 28 days ago".to_owned(),
        Stage::Resurrected => "came back from dormancy less than 28 days ago".to_owned(),
        Stage::Active | Stage::AtRisk | Stage::Dormant | Stage::Churned => format!(
            "{silence} days without a visit, usual gap {}; at risk from {} on, dormant from {}, churned from {}",
            view.usual_gap, patience.at_risk, patience.dormant, patience.churned
        ),
    };
    format!("  lifecycle_stage {name} since {since}: {why}")
}

fn liked(what: &str, affinities: &[Affinity]) -> Option<String> {
    let of: Vec<_> = affinities
        .iter()
        .take(5)
        .map(|affinity| {
            format!(
                "{} ({:.0} % of what is read, {:.1} times as much as others)",
                printable(&affinity.name),
                affinity.share * 100.0,
                affinity.lift
            )
        })
        .collect();
    (!of.is_empty()).then(|| format!("  {what}: {}", of.join(", ")))
}
