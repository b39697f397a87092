//! The rows of persons.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::Error;
use uuid::Uuid;

use super::rows::{AUTHOR_AFFINITY, TOPIC_AFFINITY, USER_VIEWS};
use super::table::{Table, Values, column};
use super::write::channel;
use crate::views::step::Changes;
use crate::views::{Affinity, Arrival, UserView, Zone, timestamp};

/// Writes the rows of persons, and what each likes.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    changes: &Changes,
    zone: &Zone,
    now: Timestamp,
) -> Result<u64, Error> {
    let views: Vec<_> = changes
        .people
        .iter()
        .filter_map(|person| person.view.as_ref())
        .collect();
    let gone: Vec<_> = changes
        .people
        .iter()
        .filter(|person| person.view.is_none())
        .collect();
    let gone = [column(&gone, |person| person.key.person_id())];
    let mut rows = USER_VIEWS.delete(transaction, &gone, "true").await?;
    rows += USER_VIEWS
        .replace_at(transaction, &user_views(&views, zone), now)
        .await?;
    let ids: Vec<_> = changes
        .people
        .iter()
        .map(|person| person.key.person_id())
        .collect();
    type Liked = fn(&UserView) -> &[Affinity];
    let liked: [(&Table, &str, Liked); 2] = [
        (&TOPIC_AFFINITY, "topic", |view| &view.topics),
        (&AUTHOR_AFFINITY, "author", |view| &view.authors),
    ];
    for (table, name, of) in liked {
        let pairs: Vec<(Uuid, &Affinity)> = views
            .iter()
            .flat_map(|view| of(view).iter().map(|affinity| (view.person_id, affinity)))
            .collect();
        let values: [Values; 5] = [
            column(&pairs, |(person, _)| *person),
            column(&pairs, |(_, affinity)| affinity.name.clone()),
            column(&pairs, |(_, affinity)| affinity.score),
            column(&pairs, |(_, affinity)| affinity.share),
            column(&pairs, |(_, affinity)| affinity.lift),
        ];
        rows += table.replace(transaction, &values).await?;
        let statement = format!(
            "DELETE FROM {0} WHERE person_id = ANY ($1) AND NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::text[]) \
             AS t (person_id, name) WHERE t.person_id = {0}.person_id AND t.name = {0}.{name})",
            table.name
        );
        let persons: Vec<_> = pairs.iter().map(|(person, _)| *person).collect();
        let names: Vec<_> = pairs.iter().map(|(_, affinity)| affinity.name.as_str()).collect();
        rows += transaction.execute(&statement, &[&ids, &persons, &names]).await?;
    }
    Ok(rows)
}

fn user_views(views: &[&UserView], zone: &Zone) -> Vec<Values> {
    vec![
        column(views, |view| view.person_id),
        column(views, |view| view.user_id.clone()),
        column(views, |view| view.anonymous_ids_count),
        column(views, |view| timestamp(view.state.first_seen)),
        column(views, |view| timestamp(view.state.last_seen)),
        column(views, |view| channel(&arrival(view).channel)),
        column(views, |view| arrival(view).referrer_host),
        column(views, |view| arrival(view).landing_path),
        column(views, |view| {
            UserView::primary(&view.state.devices).map(str::to_owned)
        }),
        column(views, |view| {
            UserView::primary(&view.state.browsers).map(str::to_owned)
        }),
        column(views, |view| {
            UserView::primary(&view.state.languages).map(str::to_owned)
        }),
        column(views, |view| view.state.counts.events),
        column(views, |view| view.state.sessions),
        column(views, |view| view.state.days.len() as i64),
        column(views, |view| view.active_days_28d),
        column(views, |view| view.state.reads),
        column(views, |view| view.state.completed_reads),
        column(views, |view| view.completion_rate),
        column(views, |view| view.state.engaged_seconds),
        column(views, |view| {
            view.state.session_time as f64 / 1e6 / (view.state.sessions.max(1)) as f64
        }),
        column(views, |view| view.state.counts.shares),
        column(views, |view| view.state.counts.comments),
        column(views, |view| view.state.counts.likes),
        column(views, |view| view.state.counts.follows),
        column(views, |view| view.state.counts.searches),
        column(views, |view| view.state.counts.orders),
        column(views, |view| view.state.counts.revenue),
        column(views, |view| view.preferred_hour),
        column(views, |view| view.preferred_weekday),
        column(views, |view| view.is_subscriber()),
        column(views, |view| view.is_contributor()),
        column(views, |view| view.state.signed_up_at.map(timestamp)),
        column(views, |view| view.rfv_score),
        column(views, |view| view.rfv_tier),
        column(views, |view| view.stage.as_str()),
        column(views, |view| zone.start(view.stage_since)),
        column(views, |view| i64::from(view.usual_gap)),
        column(views, |view| favourite_topic(view, 0)),
        column(views, |view| favourite_topic(view, 1)),
        column(views, |view| favourite_topic(view, 2)),
        column(views, |view| view.favourite_author.clone()),
        column(views, |view| view.affinity_confidence),
        column(views, |view| view.next_change.map(|day| zone.start(day))),
    ]
}

/// How the person came first.
fn arrival(view: &UserView) -> Arrival {
    let first = view.state.first.as_ref();
    first.map(|first| first.arrival.clone()).unwrap_or_default()
}

fn favourite_topic(view: &UserView, place: usize) -> Option<String> {
    view.favourite_topics.get(place).cloned()
}
