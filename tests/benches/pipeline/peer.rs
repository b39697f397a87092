//! The servers that ingest is compared with, each in a process of its own.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use async_trait::async_trait;
use bytes::Bytes;
use momsflow::broker::intake::Intake;
use momsflow::broker::{EventLog, LogError, OffsetRange, Record, StoredRecord};
use momsflow::clock::Clock;
use momsflow::collector::Collector;
use momsflow::config::{Config, Secret};
use momsflow::http::{Bound, Gate, Handlers, Server, Source, Sources};
use momsflow::lifecycle::Health;
use momsflow::roles::ingest::routes;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::process::{ADDRESS, KEY};

/// Collector as it is, before a log that forgets.
pub const FORGETFUL: &str = "forgetful";
/// actix-web alone: reads the body and answers.
pub const BARE: &str = "bare";

/// The most that the bare server reads, like momsflow's default.
const MAX_BODY: usize = 4 << 20;

/// Serves until standard input ends, which it does when the bench ends.
pub fn serve(name: &str) {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match name {
        FORGETFUL => runtime.block_on(forgetful()),
        BARE => runtime.block_on(bare()),
        other => panic!("there is no peer {other}"),
    }
}

async fn forgetful() {
    let mut config = Config::default();
    config.http.listen.set_port(0);
    let mut sources = Sources::default();
    sources.add(&Secret::new(KEY), trusted("default")).unwrap();
    let gate = Arc::new(Gate::new(&config.http, sources));
    let ingest = Arc::new(Collector::new(
        Arc::new(Intake::of(Arc::new(Forgetful))),
        Clock::system(),
        &config,
    ));
    let health = Health::default();
    // The recorder of serve counts here as well.
    let _metrics = momsflow::telemetry::start_metrics().unwrap();
    let server = Server::listen(
        Bound::bind(config.http.listen).unwrap(),
        &config.http,
        gate,
        &health,
        Handlers {
            routes: vec![routes(ingest)],
            lane: None,
        },
        Duration::from_secs(1),
    )
    .unwrap();
    println!("{ADDRESS}{}", server.addr());
    server.run(CancellationToken::new()).await.unwrap();
}

async fn bare() {
    async fn read(body: Bytes) -> HttpResponse {
        let answer = format!(r#"{{"accepted":1,"bytes":{}}}"#, body.len());
        HttpResponse::Ok().content_type("application/json").body(answer)
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let server = HttpServer::new(|| {
        let limit = web::PayloadConfig::new(MAX_BODY);
        App::new()
            .app_data(limit)
            .route("/v1/track", web::post().to(read))
    })
    .workers(workers)
    .bind("127.0.0.1:0")
    .unwrap();
    println!("{ADDRESS}{}", server.addrs()[0]);
    server.run().await.unwrap();
}

/// A source whose ids are taken as they are.
pub fn trusted(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        trusted: true,
        origins: Vec::new(),
        may_backdate: false,
    }
}

/// A log whose appends return at once and keep nothing.
#[derive(Debug)]
struct Forgetful;

#[async_trait]
impl EventLog for Forgetful {
    fn log_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn partitions(&self) -> i32 {
        momsflow::config::EventLog::default().partitions
    }

    async fn append(&self, _: i32, records: Vec<Record>) -> Result<i64, LogError> {
        drop(records);
        Ok(0)
    }

    async fn fetch(&self, _: i32, _: i64, _: usize, _: Duration) -> Result<Vec<StoredRecord>, LogError> {
        Ok(Vec::new())
    }

    async fn offsets(&self, _: i32) -> Result<OffsetRange, LogError> {
        Ok(OffsetRange { earliest: 0, end: 0 })
    }

    fn release(&self, _: i32, _: i64) {}

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}
