//! The private server: metrics, probes, and what the process's own commands need.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, dev, web};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::listen::Bound;
use super::probe;
use super::server::Routes;
use crate::lifecycle::Health;

/// The private listeners: a TCP address, and where wanted a unix socket with routes of its own.
pub struct AdminServer {
    addr: SocketAddr,
    servers: Vec<dev::Server>,
    stop: CancellationToken,
}

impl AdminServer {
    /// Listens on the TCP address; `routes` are the caller's own beside `/metrics`, `/live` and `/ready`.
    ///
    /// # Errors
    /// Where the address was taken since it was bound.
    pub fn listen(
        bound: Bound,
        metrics: PrometheusHandle,
        health: &Health,
        routes: Vec<Routes>,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let health = health.clone();
        let addr = bound.addr();
        let listener = bound.listen()?;
        let factory = move || {
            let app = App::new()
                .app_data(web::Data::new(metrics.clone()))
                .configure(|config| probe::configure(config, &health, probe::Detail::Whole))
                .service(web::resource("/metrics").route(web::get().to(render)));
            with(app, &routes)
        };
        let server = HttpServer::new(factory)
            .workers(1)
            .shutdown_timeout(1)
            .shutdown_signal(stop.clone().cancelled_owned())
            .listen(listener)?
            .run();
        Ok(Self {
            addr,
            servers: vec![server],
            stop,
        })
    }

    /// Serves `routes` on a unix socket too; a socket left over at `path` is replaced.
    ///
    /// # Errors
    /// Where the socket cannot be bound.
    pub fn with_socket(mut self, path: &Path, routes: Vec<Routes>) -> io::Result<Self> {
        let server = HttpServer::new(move || with(App::new(), &routes))
            .workers(1)
            .shutdown_timeout(1)
            .shutdown_signal(self.stop.clone().cancelled_owned())
            .bind_uds(path)?
            .run();
        self.servers.push(server);
        Ok(self)
    }

    /// The bound TCP address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `token` is cancelled.
    ///
    /// # Errors
    /// Where a server fails.
    pub async fn run(self, token: CancellationToken) -> io::Result<()> {
        let Self { servers, stop, .. } = self;
        let watch = async move {
            token.cancelled().await;
            stop.cancel();
            // A connection that is still open would keep the server for its own drain time.
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        tokio::select! {
            outcome = futures_util::future::try_join_all(servers) => outcome.map(drop),
            () = watch => Ok(()),
        }
    }
}

fn with<T>(app: App<T>, routes: &[Routes]) -> App<T>
where
    T: dev::ServiceFactory<dev::ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    routes
        .iter()
        .fold(app, |app, routes| app.configure(|config| routes(config)))
        .default_service(web::to(probe::not_found))
}

async fn render(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(metrics.render())
}
