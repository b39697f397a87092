use std::time::Duration;

use tokio::time::timeout;

use super::trouble::Trouble;
use crate::lifecycle::Health;

/// After so long without an answer `/ready` says that there is none.
const SLOW: Duration = Duration::from_secs(5);
/// An answer that takes longer than this is none: the connection is given up.
const LONGEST: Duration = Duration::from_secs(120);

/// Bounds conversations with a server that may stand still while its connections stay open.
pub(super) struct Patience {
    health: Health,
    /// Whose health it is.
    part: String,
    /// Who is waited for.
    whom: &'static str,
    slow: Duration,
    longest: Duration,
}

impl Patience {
    /// Patience with PostgreSQL.
    pub(super) fn new(health: Health, part: String) -> Self {
        Self {
            health,
            part,
            whom: "PostgreSQL",
            slow: SLOW,
            longest: LONGEST,
        }
    }

    /// It is the event log that is waited for.
    pub(super) fn with_the_log(self) -> Self {
        Self {
            whom: "the event log",
            ..self
        }
    }

    /// Gives up sooner.
    pub(super) fn up_to(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Waits for the end of a conversation. One that ends well after it was slow leaves it to the caller to say
    /// that the part is healthy again.
    pub(super) async fn within<T>(
        &self,
        conversation: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        tokio::pin!(conversation);
        if let Ok(outcome) = timeout(self.slow.min(self.longest), &mut conversation).await {
            return outcome;
        }
        let (whom, seconds) = (self.whom, self.slow.as_secs());
        self.health
            .fail(&self.part, format!("{whom} has not answered for {seconds} s"));
        timeout(self.longest.saturating_sub(self.slow), conversation)
            .await
            .unwrap_or_else(|_| Err(Trouble::Transient(format!("{whom} did not answer in time"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_told_before_it_is_given_up() {
        let health = Health::default();
        let patience = Patience {
            slow: Duration::from_millis(50),
            ..Patience::new(health.clone(), "capture".to_owned())
        };
        assert!(patience.within(async { Ok(()) }).await.is_ok());
        assert!(health.faults().is_empty());

        let slow = async {
            while health.faults().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        assert!(patience.within(slow).await.is_ok());
        assert!(health.faults()["capture"].contains("PostgreSQL has not answered"));

        let patience = patience.with_the_log().up_to(Duration::from_millis(200));
        let never = std::future::pending::<Result<(), Trouble>>();
        assert!(patience.within(never).await.is_err());
        assert!(health.faults()["capture"].contains("the event log has not answered"));
    }
}
