//! How soon momsflow serves: from an empty data dir with initdb, and again after a stop.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use momsflow::embedded::connection_of;
use tokio::net::TcpStream;

use crate::Sizes;
use crate::event_store::connect;
use crate::load::{Load, Posts, exchange};
use crate::process::{Folder, KEY, Process};
use crate::report::{Goal, Report, Series};
use crate::traffic::Traffic;
use crate::visible::until_ready;

/// Seconds of one start.
struct Start {
    ready: f64,
    visible: f64,
}

pub async fn measure(sizes: &Sizes, report: &mut Report) {
    eprintln!("start");
    let mut series: [Series; 4] = Default::default();
    for _ in 0..sizes.rounds.min(3) {
        let folder = Folder::new();
        let data_dir = folder.path().join("data");
        let first = start(&data_dir).await;
        let again = start(&data_dir).await;
        for (series, value) in series
            .iter_mut()
            .zip([first.ready, first.visible, again.ready, again.visible])
        {
            series.push(value);
        }
    }
    let [ready, visible, ready_again, visible_again] = series;
    report.add("start from nothing until ready", ready, "s", Goal::AtMost(10.0));
    report.add(
        "start from nothing until an event is in SQL",
        visible,
        "s",
        Goal::AtMost(10.0),
    );
    report.add("restart until ready", ready_again, "s", Goal::AtMost(2.0));
    report.add(
        "restart until an event is in SQL",
        visible_again,
        "s",
        Goal::AtMost(2.0),
    );
}

/// Starts a server, sends it an event, finds that in SQL and stops the server.
async fn start(data_dir: &Path) -> Start {
    let began = Instant::now();
    let server = Process::serve(data_dir, &[]);
    until_ready(&server).await;
    let ready = began.elapsed().as_secs_f64();
    let load = Load {
        address: server.address,
        key: KEY.to_owned(),
        posts: Posts::Single,
        connections: 1,
        pace: None,
        window: std::time::Duration::ZERO,
        may_refuse: false,
    };
    let request = load.request(&mut Traffic::new(rand::random()), Timestamp::now());
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let status = exchange(&mut connection, &request.bytes, &mut Vec::new())
        .await
        .unwrap();
    assert_eq!(status, 200);
    let sql = connect(&connection_of(&server.data_dir).unwrap().events()).await;
    let query = "SELECT count(*) FROM events WHERE event_id = $1";
    while sql
        .query_one(query, &[&request.first_id()])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let visible = began.elapsed().as_secs_f64();
    server.stop();
    Start { ready, visible }
}
