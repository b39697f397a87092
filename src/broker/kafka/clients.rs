//! Clients of the partitions, each call of theirs under a deadline, made anew after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::failure::Failure;
use super::{CALL_TIMEOUT, CLIENT_ID};

/// Makes clients of partitions, which share the knowledge of the cluster.
#[derive(Debug)]
pub(super) struct Clients {
    brokers: Vec<String>,
    topic: String,
    cluster: Mutex<Option<Arc<Client>>>,
}

impl Clients {
    pub(super) fn new(brokers: Vec<String>, topic: String) -> Self {
        Self {
            brokers,
            topic,
            cluster: Mutex::new(None),
        }
    }

    async fn partition(&self, partition: i32) -> Result<PartitionClient, Failure> {
        let mut cluster = self.cluster.lock().await;
        let made = timeout(CALL_TIMEOUT, self.make(cluster.as_ref(), partition)).await;
        match made {
            Ok(Ok((known, client))) => {
                *cluster = Some(known);
                Ok(client)
            }
            failed => {
                // Its connection may hang, and it would never look for another: start from the bootstrap again.
                *cluster = None;
                match failed {
                    Ok(Err(failure)) => Err(failure),
                    _ => Err(Failure::Retry("Kafka does not answer".to_owned())),
                }
            }
        }
    }

    /// Asks for the leaders first: the client library remembers those of the last failure.
    async fn make(
        &self,
        known: Option<&Arc<Client>>,
        partition: i32,
    ) -> Result<(Arc<Client>, PartitionClient), Failure> {
        let cluster = match known {
            Some(cluster) => {
                cluster.list_topics().await?;
                cluster.clone()
            }
            None => Arc::new(
                ClientBuilder::new(self.brokers.clone())
                    .client_id(CLIENT_ID)
                    .backoff_config(impatient())
                    .build()
                    .await?,
            ),
        };
        let client = cluster
            .partition_client(self.topic.as_str(), partition, UnknownTopicHandling::Error)
            .await?;
        Ok((cluster, client))
    }
}

/// The library's own retries only bridge a moment: who calls it knows better how long to go on.
fn impatient() -> BackoffConfig {
    BackoffConfig {
        init_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(300),
        base: 2.0,
        deadline: Some(Duration::from_secs(1)),
    }
}

/// A partition's client for one kind of call, with a connection of its own: a broker answers the requests of a
/// connection one after the other, so that a fetch that waits would hold up an append.
#[derive(Debug)]
pub(super) struct Slot {
    clients: Arc<Clients>,
    partition: i32,
    client: Mutex<Option<Arc<PartitionClient>>>,
    /// A call was given up while the broker was at work on it.
    spoiled: AtomicBool,
}

impl Slot {
    pub(super) fn new(clients: Arc<Clients>, partition: i32) -> Self {
        Self {
            clients,
            partition,
            client: Mutex::new(None),
            spoiled: AtomicBool::new(false),
        }
    }

    /// Calls the client, and gives it up where the call fails or is itself given up.
    ///
    /// # Errors
    /// What the failure means. A call that changes something may have done so all the same.
    pub(super) async fn call<T>(
        &self,
        deadline: Duration,
        call: impl AsyncFnOnce(&PartitionClient) -> Result<T, rskafka::client::error::Error>,
    ) -> Result<T, Failure> {
        let client = self.client().await?;
        let unfinished = Unfinished(&self.spoiled);
        let outcome = match timeout(deadline, call(&client)).await {
            Ok(outcome) => outcome.map_err(Failure::from),
            Err(_) => Err(Failure::Retry(format!(
                "Kafka has not answered within {:.1} s",
                deadline.as_secs_f32()
            ))),
        };
        if !matches!(outcome, Err(Failure::Retry(_))) {
            unfinished.finish();
        }
        outcome
    }

    async fn client(&self) -> Result<Arc<PartitionClient>, Failure> {
        let mut client = self.client.lock().await;
        if self.spoiled.swap(false, Ordering::AcqRel) {
            *client = None;
        }
        if let Some(client) = client.as_ref() {
            return Ok(client.clone());
        }
        let made = Arc::new(self.clients.partition(self.partition).await?);
        *client = Some(made.clone());
        Ok(made)
    }
}

/// Spoils the client of a call that does not come to its end.
struct Unfinished<'a>(&'a AtomicBool);

impl Unfinished<'_> {
    fn finish(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
