//! Clients of the partitions, each call of theirs under a deadline, made anew after a failure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::access::Access;
use super::failure::Failure;
use super::fetcher::Fetcher;
use super::leader::Leaders;
use super::producer::Producer;
use super::{CALL_TIMEOUT, CLIENT_ID, CONNECT_TIMEOUT};

/// Makes clients of partitions, which share the knowledge of the cluster.
#[derive(Debug)]
pub(super) struct Clients {
    access: Arc<Access>,
    topic: String,
    /// Of what does not go through the client library.
    leaders: Arc<Leaders>,
    cluster: Mutex<Cluster>,
}

/// What is known of the cluster, and since when.
#[derive(Debug)]
struct Cluster {
    client: Option<Arc<Client>>,
    asked_at: Instant,
    /// Of the last time that it was asked.
    failure: Option<Failure>,
}

impl Clients {
    pub(super) fn new(access: Arc<Access>, topic: String) -> Self {
        let cluster = Cluster {
            client: None,
            asked_at: Instant::now(),
            failure: None,
        };
        Self {
            leaders: Arc::new(Leaders::new(access.clone(), topic.clone())),
            access,
            topic,
            cluster: Mutex::new(cluster),
        }
    }

    /// Reads what the client library cannot read, among the rest.
    pub(super) fn fetcher(&self, partition: i32) -> Fetcher {
        Fetcher::new(self.leaders.clone(), partition)
    }

    /// Appends, faster than the client library.
    pub(super) fn producer(&self, partition: i32) -> Producer {
        Producer::new(self.leaders.clone(), partition)
    }

    async fn partition(&self, partition: i32) -> Result<PartitionClient, Failure> {
        let cluster = self.cluster().await?;
        let made = cluster.partition_client(self.topic.as_str(), partition, UnknownTopicHandling::Error);
        match timeout(CALL_TIMEOUT, made).await {
            Ok(made) => Ok(made?),
            Err(_) => Err(Failure::Retry(
                "the partition's leader does not answer".to_owned(),
            )),
        }
    }

    /// The cluster with its present leaders: the client library would remember those of the last failure.
    async fn cluster(&self) -> Result<Arc<Client>, Failure> {
        let since = Instant::now();
        let mut cluster = self.cluster.lock().await;
        // When the cluster fails, all partitions ask at once. One answer does for all that wait for it.
        if cluster.asked_at > since {
            if let Some(failure) = &cluster.failure {
                return Err(failure.clone());
            }
            if let Some(client) = &cluster.client {
                return Ok(client.clone());
            }
        }
        let asked = self.ask(cluster.client.take()).await;
        *cluster = Cluster {
            client: asked.as_ref().ok().cloned(),
            asked_at: Instant::now(),
            failure: asked.as_ref().err().cloned(),
        };
        asked
    }

    async fn ask(&self, known: Option<Arc<Client>>) -> Result<Arc<Client>, Failure> {
        if let Some(client) = known
            && matches!(timeout(CONNECT_TIMEOUT, client.list_topics()).await, Ok(Ok(_)))
        {
            return Ok(client);
        }
        // From the bootstrap again: the known client's connection may hang, and it would never look for another.
        match timeout(CALL_TIMEOUT, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(Failure::Retry("Kafka does not answer".to_owned())),
        }
    }

    /// Who leads partitions by the cluster's own word, since of a configured name with several addresses the client
    /// library tries only one.
    async fn brokers(&self) -> Result<Vec<String>, Failure> {
        let topic = self.leaders.describe().await?;
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions);
        let leaders: BTreeSet<_> = partitions.filter_map(|partition| partition.leader).collect();
        Ok(match leaders.is_empty() {
            true => self.access.brokers.clone(),
            false => leaders.into_iter().collect(),
        })
    }

    async fn connect(&self) -> Result<Arc<Client>, Failure> {
        let mut builder = ClientBuilder::new(self.brokers().await?)
            .client_id(CLIENT_ID)
            .backoff_config(impatient());
        if let Some(tls) = &self.access.tls {
            builder = builder.tls_config(tls.config.clone());
        }
        if let Some(sasl) = self.access.library_sasl() {
            builder = builder.sasl_config(sasl);
        }
        Ok(Arc::new(builder.build().await?))
    }
}

/// The library's own retries only bridge a moment: who calls it knows better how long to go on. They are nested, so
/// that a call may take many times this deadline.
fn impatient() -> BackoffConfig {
    BackoffConfig {
        init_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(100),
        base: 2.0,
        deadline: Some(Duration::from_millis(200)),
    }
}

/// A partition's client, with a connection of its own: a broker answers the requests of a connection one after the other.
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
