//! A connection to the broker that leads a partition.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::Request;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::CONNECT_TIMEOUT;
use super::access::Access;
use super::admin::{self, Topic};
use super::connection::Connection;
use super::failure::Failure;
use super::finding::Trouble;

/// Knows who leads the partitions, and asks once for all that want to know at the same time: after a broker's death
/// those are all that it led.
#[derive(Debug)]
pub(super) struct Leaders {
    pub(super) access: Arc<Access>,
    pub(super) topic: String,
    answer: Mutex<Option<Answer>>,
}

#[derive(Debug)]
struct Answer {
    came_at: Instant,
    found: Result<Option<Topic>, Trouble>,
}

impl Leaders {
    pub(super) fn new(access: Arc<Access>, topic: String) -> Self {
        Self {
            access,
            topic,
            answer: Mutex::new(None),
        }
    }

    /// The topic as a broker describes it that was asked since this call began.
    ///
    /// # Errors
    /// As [`admin::describe`] says.
    pub(super) async fn describe(&self) -> Result<Option<Topic>, Trouble> {
        let since = Instant::now();
        let mut answer = self.answer.lock().await;
        if let Some(answer) = &*answer
            && answer.came_at > since
        {
            return answer.found.clone();
        }
        let found = admin::describe(&self.access, &self.topic).await;
        *answer = Some(Answer {
            came_at: Instant::now(),
            found: found.clone(),
        });
        found
    }
}

/// Finds a partition's leader when it is needed, and keeps the connection while it serves.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) leaders: Arc<Leaders>,
    pub(super) partition: i32,
    connection: Mutex<Option<Connection>>,
}

impl Leader {
    pub(super) fn new(leaders: Arc<Leaders>, partition: i32) -> Self {
        Self {
            leaders,
            partition,
            connection: Mutex::new(None),
        }
    }

    /// Sends a request and lets `judge` read its answer, `extra` longer in coming than usual. One request at a time.
    ///
    /// # Errors
    /// As [`Failure`] says. What was asked may have been done all the same.
    pub(super) async fn call<R: Request, T>(
        &self,
        request: &R,
        version: i16,
        extra: Duration,
        judge: impl FnOnce(R::Response) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut slot = self.connection.lock().await;
        // Taken out, so that a call that fails or is given up takes it along.
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let outcome = judge(connection.call(request, version, extra).await?);
        // After what passes, another broker may lead.
        if !matches!(outcome, Err(Failure::Retry(_))) {
            *slot = Some(connection);
        }
        outcome
    }

    /// In less than a request's deadline: the broker that is asked for the leader may stand still, and the next try asks
    /// another.
    async fn connect(&self) -> Result<Connection, Failure> {
        match timeout(CONNECT_TIMEOUT, self.find()).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Failure::Retry(
                "the partition's leader does not answer".to_owned(),
            )),
        }
    }

    async fn find(&self) -> Result<Connection, Trouble> {
        let described = self.leaders.describe().await?;
        let place = usize::try_from(self.partition).unwrap_or(usize::MAX);
        let leader = described
            .as_ref()
            .and_then(|topic| topic.partitions.get(place)?.leader.as_ref());
        match leader {
            Some(leader) => Connection::open(leader, &self.leaders.access).await,
            None => Err(Trouble::Passing(format!(
                "partition {} has no leader",
                self.partition
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_asks_at_the_same_time_is_answered_by_one_question() {
        let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let access = Access {
            brokers: vec![broker.local_addr().unwrap().to_string()],
            tls: None,
            sasl: None,
        };
        let leaders = Arc::new(Leaders::new(Arc::new(access), "events".to_owned()));
        let questions = AtomicUsize::new(0);
        let answers = async {
            let mut open = vec![broker.accept().await];
            questions.fetch_add(1, Ordering::Relaxed);
            let others = async {
                loop {
                    open.push(broker.accept().await);
                    questions.fetch_add(1, Ordering::Relaxed);
                }
            };
            let _ = timeout(Duration::from_millis(300), others).await;
        };
        let partitions = (0..3).map(|partition| Leader::new(leaders.clone(), partition));
        let partitions: Vec<_> = partitions.collect();
        let asked = join_all(partitions.iter().map(Leader::find));
        tokio::select! {
            _ = asked => unreachable!("nobody answers"),
            () = answers => {}
        }
        assert_eq!(questions.load(Ordering::Relaxed), 1);
    }
}
