use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server as ActixServer;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::{App, web};
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::budget::Connection;
use super::gate::Gate;
use super::lane::{Lanes, Limits, Road};
use super::listen::Bound;
use super::portions::Portions;
use super::{guard, openapi, probe};
use crate::config;
use crate::lifecycle::Health;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a client that was refused early may go on sending before its connection is closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Registers a role's handlers; called once in each worker.
pub type Routes = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// What the roles bring to the public listener.
#[derive(Default)]
pub struct Handlers {
    pub routes: Vec<Routes>,
    /// A path with a short way, which has a route too.
    pub lane: Option<Lanes>,
}

/// A listening server that does not serve yet.
pub struct Server {
    addr: SocketAddr,
    server: ActixServer,
    stop: CancellationToken,
}

impl Server {
    /// Listens on a public address, with the handlers of the roles. `drain` is how long requests may finish after
    /// the stop. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Where the address was taken since it was bound.
    #[allow(
        clippy::too_many_lines,
        reason = "the types of its parts have no names to pass them by"
    )]
    pub fn listen(
        bound: Bound,
        config: &config::Http,
        gate: Arc<Gate>,
        health: &Health,
        handlers: Handlers,
        drain: Duration,
    ) -> io::Result<Self> {
        let Handlers { routes, lane } = handlers;
        let budget = Arc::clone(gate.budget());
        let gate = web::Data::from(gate);
        let health = health.clone();
        let factory = move || {
            let app = App::new()
                .app_data(gate.clone())
                .wrap(from_fn(guard::guard))
                .wrap(NormalizePath::trim())
                .configure(|config| probe::configure(config, &health, probe::Detail::Plain))
                .configure(openapi::configure);
            routes
                .iter()
                .fold(app, |app, routes| app.configure(|config| routes(config)))
                .default_service(web::to(probe::not_found))
        };
        let workers = workers(config);
        let stop = CancellationToken::new();
        let addr = bound.addr();
        let listener = bound.listen()?;
        let builder = ActixServer::build();
        let draining = builder.graceful_shutdown_signal();
        let client_timeout = config.client_timeout;
        let limits = Limits {
            before_first: client_timeout,
            between: KEEP_ALIVE,
        };
        // actix_web::HttpServer does the same, but has no place for a stream of one's own.
        let connections = move || {
            let road = lane
                .as_ref()
                .map(|lanes| Rc::new(Road::new(lanes, limits, draining.clone())));
            let draining = draining.clone();
            let service = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let draining = draining.clone();
                    async move { draining.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(client_timeout)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .local_addr(addr)
                .on_connect_ext(|stream: &Portions, data| {
                    data.insert(stream.valve().clone());
                })
                .h1(map_config(factory().into_factory(), |()| AppConfig::default()));
            let budget = Arc::clone(&budget);
            fn_service(move |stream| accepted(stream, road.clone(), budget.connect())).and_then(service)
        };
        let server = builder
            .workers(workers)
            .max_concurrent_connections(config.max_connections.div_ceil(workers))
            .shutdown_timeout(drain.as_secs().max(1))
            .shutdown_signal(stop.clone().cancelled_owned())
            .listen("http", listener, connections)?
            .run();
        Ok(Self { addr, server, stop })
    }

    /// The bound address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `token` is cancelled; then takes no more connections and finishes its requests.
    ///
    /// # Errors
    /// Where the server fails.
    pub async fn run(self, token: CancellationToken) -> io::Result<()> {
        let stop = self.stop;
        let watch = async move {
            token.cancelled().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = self.server => outcome,
            () = watch => Ok(()),
        }
    }
}

/// A connection for the framework, with what was read of it, once the lane has done its part.
///
/// # Errors
/// Where the lane has served all of it. Nobody hears of that: the connection is over.
async fn accepted(
    stream: TcpStream,
    road: Option<Rc<Road>>,
    share: Connection,
) -> Result<(Portions, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().ok();
    let left = match road {
        Some(road) => road.drive(stream, peer).await,
        None => Some((stream, Bytes::new())),
    };
    left.map(|(stream, read)| (Portions::new(stream, read, share), peer))
        .ok_or(DispatchError::DisconnectTimeout)
}

fn workers(config: &config::Http) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}
