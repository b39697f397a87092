//! The capture hosts of a log, and how one of them stays among them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join3;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, Statement};
use uuid::Uuid;

use super::server::Server;

/// Who a host is, and for how long its word holds.
#[derive(Clone, Debug)]
pub struct Host {
    /// `logs.id`.
    pub log: i32,
    /// As in `leases.owner`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Made anew at each start.
    pub process: Uuid,
    /// The data dir that it has locked.
    pub place: String,
    pub ttl: Duration,
}

/// A host that lives.
#[derive(Clone, Debug, PartialEq)]
pub struct LivingHost {
    pub id: String,
    pub name: String,
    /// None of a version that did not say.
    pub process: Option<Uuid>,
    pub place: Option<String>,
    /// Until it counts as dead, unless it is heard of.
    pub remaining: Duration,
    /// The same, by the database's clock, in seconds.
    pub expires_at: f64,
}

/// A partition whose lease somebody had or has.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldLease {
    pub owner: String,
    pub epoch: i64,
    pub next_offset: i64,
    pub take_overs: i64,
    /// `None` for one that was given up or has expired.
    pub remaining: Option<Duration>,
}

/// All that a host needs to know in order to find its share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbours {
    pub hosts: Vec<LivingHost>,
    /// By partition; one that never had an owner is missing.
    pub leases: BTreeMap<i32, HeldLease>,
}

/// A host's connection to the others.
///
/// It is a connection of its own, because it listens. What it writes is not flushed to disk: a renewal that a crash of
/// the server takes back only makes a lease expire early.
#[derive(Debug)]
pub struct HostLink {
    client: Client,
    statements: Statements,
    changed: Arc<Notify>,
    driver: JoinHandle<()>,
}

/// Prepared once, since they run every few seconds for ever.
#[derive(Debug)]
struct Statements {
    keep_host: Statement,
    list_hosts: Statement,
    list_leases: Statement,
}

impl HostLink {
    /// Connects and begins to listen.
    pub async fn open(server: &Server) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = server.connect().await?;
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message {
                    notify.notify_one();
                }
            }
            // Whoever waits finds the connection closed.
            notify.notify_one();
        });
        client
            .batch_execute("SET synchronous_commit = off; LISTEN momsflow_leases")
            .await?;
        let statements = Statements {
            keep_host: client.prepare(include_str!("sql/keep_host.sql")).await?,
            list_hosts: client.prepare(include_str!("sql/list_hosts.sql")).await?,
            list_leases: client.prepare(include_str!("sql/list_leases.sql")).await?,
        };
        Ok(Self {
            client,
            statements,
            changed,
            driver,
        })
    }

    /// For statements that are rare.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Says that the host lives, renews the leases that it holds (partition and epoch), and looks at the others: one
    /// round trip, one commit.
    ///
    /// The row of another process with its id is left alone, unless this one `is_new` and the same data dir was the
    /// other's: who lives with the id stands in the answer. A host that `is_leaving` only keeps what it has, to finish what it has begun.
    pub async fn keep(
        &self,
        host: &Host,
        held: &BTreeMap<i32, i64>,
        is_leaving: bool,
        is_new: bool,
    ) -> Result<Neighbours, tokio_postgres::Error> {
        let (partitions, epochs): (Vec<i32>, Vec<i64>) = held.iter().unzip();
        let ttl = host.ttl.as_secs_f64();
        let kept: [&(dyn ToSql + Sync); 10] = [
            &host.log,
            &host.id,
            &host.name,
            &ttl,
            &is_leaving,
            &partitions,
            &epochs,
            &host.process,
            &host.place,
            &is_new,
        ];
        // Requests of a connection are answered in their order: the lists come after the commit.
        let (_, hosts, leases) = try_join3(
            self.client.execute(&self.statements.keep_host, &kept),
            self.client.query(&self.statements.list_hosts, &[&host.log]),
            self.client.query(&self.statements.list_leases, &[&host.log]),
        )
        .await?;
        Ok(Neighbours {
            hosts: hosts.iter().map(living_host).collect(),
            leases: leases
                .iter()
                .map(|row| (row.get("log_partition"), held_lease(row)))
                .collect(),
        })
    }

    /// Tells the other hosts to look anew.
    pub async fn tell(&self) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute("NOTIFY momsflow_leases").await
    }

    /// Takes the host out, so that the others share what it has without waiting for its death.
    pub async fn leave(&self, host: &Host) -> Result<(), tokio_postgres::Error> {
        self.client
            .query(
                include_str!("sql/leave_host.sql"),
                &[&host.log, &host.id, &host.process],
            )
            .await?;
        Ok(())
    }

    /// Resolves when another host gave something up, joined or left, or when the connection is lost.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for HostLink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn living_host(row: &Row) -> LivingHost {
    LivingHost {
        id: row.get("host"),
        name: row.get("name"),
        process: row.get("process"),
        place: row.get("place"),
        remaining: seconds(row.get("remaining")).unwrap_or_default(),
        expires_at: row.get("expires_at"),
    }
}

fn held_lease(row: &Row) -> HeldLease {
    HeldLease {
        owner: row.get("owner"),
        epoch: row.get("epoch"),
        next_offset: row.get("next_offset"),
        take_overs: row.get("take_overs"),
        remaining: seconds(row.get("remaining")),
    }
}

/// `None` for what is over.
fn seconds(remaining: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(remaining).ok()
}
