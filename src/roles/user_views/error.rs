use crate::store::sqlstate::describe;
use crate::store::views::KnownError;

/// Why views are not brought up to date. Nothing of the transaction is written then.
#[derive(Debug, thiserror::Error)]
pub enum ViewsError {
    /// Another host is at it.
    #[error("another momsflow is changing the views just now")]
    Busy,
    /// The views were made by another definition.
    #[error(
        "the views were made by {was}, and this is {is}\n\nhint: momsflow user-views rebuild makes them anew"
    )]
    Outdated { was: String, is: String },
    /// Nothing was made yet.
    #[error("there are no views yet\n\nhint: momsflow user-views run makes them")]
    Nothing,
    #[error("stopped")]
    Stopped,
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    #[error("PostgreSQL cannot be reached: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("{0}")]
    Unreadable(String),
    #[error("the schedule cannot be kept: {0}")]
    Schedule(#[from] tokio_cron_scheduler::JobSchedulerError),
}

impl From<KnownError> for ViewsError {
    fn from(error: KnownError) -> Self {
        match error {
            KnownError::Database(error) => Self::Database(error),
            KnownError::Unreadable(_) => Self::Unreadable(error.to_string()),
        }
    }
}
