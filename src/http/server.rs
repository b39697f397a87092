use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::{App, HttpServer, dev, web};
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::{guard, openapi, probe};
use crate::config;
use crate::lifecycle::Health;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Registers a role's handlers; called once in each worker.
pub type Routes = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// A listening server that does not serve yet.
pub struct Server {
    addr: SocketAddr,
    server: dev::Server,
    stop: CancellationToken,
}

impl Server {
    /// Binds the public listener, with the routes of the roles. `drain` is how long requests may finish after
    /// the stop. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub fn bind(
        config: &config::Http,
        gate: Arc<Gate>,
        health: &Health,
        routes: Vec<Routes>,
        drain: Duration,
    ) -> io::Result<Self> {
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
        let workers = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let stop = CancellationToken::new();
        let listener = TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let server = HttpServer::new(factory)
            .workers(workers)
            .max_connections(config.max_connections.div_ceil(workers))
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(config.client_timeout)
            .shutdown_timeout(drain.as_secs().max(1))
            .shutdown_signal(stop.clone().cancelled_owned())
            .listen(listener)?
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
