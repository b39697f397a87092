//! A TCP proxy between momsflow and Kafka that hangs, cuts and delays as networks do.

use std::net::SocketAddr;
use std::time::Duration;

use momsflow::config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::broker::{Broker, Extra, Listener, shared, topic_on};
use crate::serve::free_address;

/// A broker that clients reach through a proxy only, and a topic on it; `None`, with a line that says why, where there is
/// no Kafka.
pub async fn proxied() -> Option<(Broker, TcpProxy, config::Kafka)> {
    let (address, advertised) = (free_address(), free_address());
    let listener = Listener {
        name: "PROXIED",
        protocol: "PLAINTEXT",
        address,
        advertised,
    };
    let start = || {
        Broker::start_with(|_| Extra {
            listeners: vec![listener],
            ..Extra::default()
        })
    };
    let Some(broker) = tokio::task::block_in_place(start) else {
        shared();
        return None;
    };
    let proxy = TcpProxy::start(advertised, address).await;
    Some((broker, proxy, topic_on(&advertised.to_string())))
}

/// A way through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Requests,
    Answers,
}

/// What befalls the connections that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing comes through in this direction any more, and nobody is told.
    Hang(Direction),
    /// They end, whatever is on its way.
    Cut,
}

/// Passes connections on to a broker. What a fault strikes stays struck; connections made later are whole.
pub struct TcpProxy {
    strike: watch::Sender<Option<Fault>>,
    delay: watch::Sender<Duration>,
    server: JoinHandle<()>,
}

impl TcpProxy {
    pub async fn start(at: SocketAddr, broker: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let (strike, _) = watch::channel(None);
        let (delay, delayed) = watch::channel(Duration::ZERO);
        let strikes = strike.clone();
        let server = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (mut struck, delayed) = (strikes.subscribe(), delayed.clone());
                struck.mark_unchanged();
                tokio::spawn(async move {
                    if let Ok(broker) = TcpStream::connect(broker).await {
                        pass(client, broker, struck, delayed).await;
                    }
                });
            }
        });
        Self {
            strike,
            delay,
            server,
        }
    }

    /// Strikes the connections that there are now.
    pub fn strike(&self, fault: Fault) {
        self.strike.send_replace(Some(fault));
    }

    /// Lets every chunk of bytes wait, in both directions, on all connections.
    pub fn delay(&self, by: Duration) {
        self.delay.send_replace(by);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(
    client: TcpStream,
    broker: TcpStream,
    struck: watch::Receiver<Option<Fault>>,
    delayed: watch::Receiver<Duration>,
) {
    let _ = client.set_nodelay(true);
    let _ = broker.set_nodelay(true);
    let (client, broker) = (client.into_split(), broker.into_split());
    let requests = pump(
        client.0,
        broker.1,
        Direction::Requests,
        struck.clone(),
        delayed.clone(),
    );
    let answers = pump(broker.0, client.1, Direction::Answers, struck, delayed);
    tokio::join!(requests, answers);
}

/// Moves bytes one way until a side ends or the connection is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut struck: watch::Receiver<Option<Fault>>,
    delayed: watch::Receiver<Duration>,
) {
    let mut chunk = vec![0; 64 << 10];
    let mut hangs = false;
    loop {
        let read = tokio::select! {
            biased;
            changed = struck.changed() => {
                let fault = *struck.borrow_and_update();
                if changed.is_err() || fault == Some(Fault::Cut) {
                    return;
                }
                hangs |= fault == Some(Fault::Hang(direction));
                continue;
            }
            read = from.read(&mut chunk), if !hangs => read,
        };
        let length = match read {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let delay = *delayed.borrow();
        tokio::time::sleep(delay).await;
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
