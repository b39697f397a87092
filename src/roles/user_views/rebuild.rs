//! Making everything anew beside the live tables: to replace them, or to see that it comes to the same.

use tokio_util::sync::CancellationToken;

use super::run::{Done, Scope, run_row};
use super::{UserViews, ViewsError};
use crate::store::views::delta::{Marks, total};
use crate::store::views::{
    Schema, compare, drop_copy, hold, last_day, make_copy, marks, meta, note_run, release, swap_in,
    use_schema,
};
use crate::views::Day;

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub events: i64,
    pub of: i64,
}

/// A table whose rows are not what they would be if they were made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub table: String,
    /// Rows that are in one and not in the other.
    pub rows: i64,
}

impl UserViews {
    /// Makes all views anew from all events, and puts them in the place of the live ones. Those are read meanwhile as they are,
    /// and no run changes them.
    ///
    /// # Errors
    /// Then the live ones stay as they were.
    pub async fn rebuild(
        &self,
        token: &CancellationToken,
        progress: impl FnMut(Progress),
    ) -> Result<Done, ViewsError> {
        let mut views = self.views.get().await?;
        hold(&views).await?;
        let outcome = self.rebuild_held(&mut views, token, progress).await;
        give_back(&views, outcome).await
    }

    async fn rebuild_held(
        &self,
        views: &mut deadpool_postgres::Client,
        token: &CancellationToken,
        progress: impl FnMut(Progress),
    ) -> Result<Done, ViewsError> {
        let (started_at, today) = (self.now(), self.today());
        make_copy(views, &self.zone_name).await?;
        let done = self.copy(views, None, today, token, progress).await?;
        let transaction = views.transaction().await?;
        swap_in(&transaction).await?;
        use_schema(&transaction, Schema::Live).await?;
        let shares_of = meta(&transaction).await?.and_then(|meta| meta.shares_of);
        let run = run_row("rebuild", &done, started_at, self.now(), today, shares_of);
        note_run(&transaction, &run).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Makes all views anew in a copy, up to where the live ones are, and compares. Runs wait meanwhile.
    ///
    /// # Errors
    /// [`ViewsError::Nothing`] before the first run.
    pub async fn verify(
        &self,
        token: &CancellationToken,
        progress: impl FnMut(Progress),
    ) -> Result<(Done, Vec<Difference>), ViewsError> {
        let mut views = self.views.get().await?;
        hold(&views).await?;
        let outcome = self.verify_held(&mut views, token, progress).await;
        give_back(&views, outcome).await
    }

    async fn verify_held(
        &self,
        views: &mut deadpool_postgres::Client,
        token: &CancellationToken,
        progress: impl FnMut(Progress),
    ) -> Result<(Done, Vec<Difference>), ViewsError> {
        let transaction = views.transaction().await?;
        use_schema(&transaction, Schema::Live).await?;
        let until = marks(&transaction).await?;
        let today = last_day(&transaction).await?.ok_or(ViewsError::Nothing)?;
        transaction.commit().await?;
        make_copy(views, &self.zone_name).await?;
        let done = self.copy(views, Some(&until), today, token, progress).await?;
        let differences = compare(views).await?;
        let differences = differences
            .into_iter()
            .map(|(table, rows)| Difference { table, rows })
            .collect();
        Ok((done, differences))
    }

    async fn copy(
        &self,
        views: &mut deadpool_postgres::Client,
        until: Option<&Marks>,
        today: Day,
        token: &CancellationToken,
        mut progress: impl FnMut(Progress),
    ) -> Result<Done, ViewsError> {
        let mut events = self.events.get().await?;
        let of = total(&events).await?;
        let scope = Scope {
            schema: Schema::Copy,
            until,
            today,
        };
        let mut all = Done::default();
        loop {
            let part = self.part(&mut events, views, scope, self.now()).await?;
            all.add(part.done);
            progress(Progress {
                events: all.rows_read,
                of,
            });
            if part.is_last {
                return Ok(all);
            }
            if token.is_cancelled() {
                return Err(ViewsError::Stopped);
            }
        }
    }
}

/// Drops what is left of the copy, which may be large, and lets others change views again. The outcome's own error counts
/// before one of this.
async fn give_back<T>(
    views: &deadpool_postgres::Client,
    outcome: Result<T, ViewsError>,
) -> Result<T, ViewsError> {
    let dropped = drop_copy(views).await;
    let released = release(views).await;
    let done = outcome?;
    dropped?;
    released?;
    Ok(done)
}
