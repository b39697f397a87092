//! The role user-views.

use super::parts::Shared;
use super::postgres;
use super::stages::Stages;
use crate::config::Schedule;
use crate::roles::user_views::UserViews;
use crate::store::pool;
use crate::views::Zone;

/// Starts it. It waits for the databases itself.
pub(super) fn start(stages: &mut Stages, shared: &Shared) -> anyhow::Result<()> {
    let config = &shared.config;
    let schedule = Schedule::parse(&config.views.schedule).map_err(anyhow::Error::msg)?;
    let zone = Zone::named(&config.timezone)?;
    let (zone_name, max_batch) = (config.timezone.clone(), config.views.max_batch);
    let (known, health, clock) = (
        shared.databases.clone(),
        shared.health.clone(),
        shared.clock.clone(),
    );
    let token = stages.capture.token();
    stages.capture.spawn("user-views", async move {
        let databases = tokio::select! {
            migrated = postgres::migrated(known, &health) => migrated?,
            () = token.cancelled() => return Ok(()),
        };
        let views = UserViews {
            events: pool::connect(databases.events.clone(), 1),
            views: pool::connect(databases.views.clone(), 1),
            clock,
            zone,
            zone_name,
            max_batch,
        };
        views
            .serve(schedule, health, token)
            .await
            .map_err(anyhow::Error::from)
    });
    Ok(())
}
