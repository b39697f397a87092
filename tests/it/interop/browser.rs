//! What only a browser does: ask from which origin, remember its visitor, send when a page is left.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use super::sdk::{missing, stage};
use super::sent::rows;
use crate::serve::{Serve, free_address, run};

pub const SOURCE: &str = "browser";
pub const CHROMIUM: &str = "/usr/bin/chromium";

/// The config of the browser's source, with the one page that may send.
pub fn source(page: &SocketAddr) -> String {
    format!("[[sources]]\nname = \"{SOURCE}\"\nkey = \"{SOURCE}-key\"\norigins = [\"http://{page}\"]\n")
}

async fn drive(serve: &Serve, mode: &str, page: SocketAddr) -> Value {
    let mut driver = Command::new("node");
    driver
        .arg(stage(serve, "browser/drive.mjs"))
        .args([mode, &serve.url(""), "browser-key"])
        .arg(page.to_string())
        .current_dir(serve.folder());
    let output = run(driver).await.expect(0);
    serve.settle().await;
    serde_json::from_str(&output).unwrap()
}

#[tokio::test]
async fn a_browser_sends_when_its_page_is_left_and_keeps_its_visitor() {
    if let Some(missing) = missing(&["node/.installed", CHROMIUM]) {
        eprintln!("left out: {missing} is not installed (make interop)");
        return;
    }
    let page = free_address();
    let mut serve = Serve::start(&source(&page)).await;
    let visitor = drive(&serve, "leave", page).await;
    assert!(visitor["before"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(visitor["before"], visitor["after"]);

    let rows = rows(&serve, SOURCE).await;
    let count = |event: &str| rows.iter().filter(|row| row["event"] == *event).count();
    assert_eq!((count("Page Left"), count("Beacon Sent")), (3, 2), "{rows:#?}");
    assert_eq!(rows.len(), 5);
    for row in &rows {
        assert_eq!(row["anonymous_id"], visitor["before"]);
        assert_eq!(row["context"]["ip"], "127.0.0.0");
        let agent = row["context"]["userAgent"].as_str().unwrap();
        assert!(agent.contains("Chrome/"), "{agent}");
    }

    let stranger = drive(&serve, "stranger", free_address()).await;
    assert_eq!(
        (&stranger["settings"], &stranger["event"]),
        (&json!("unreadable"), &json!("unreadable"))
    );
    assert_eq!(serve.value("SELECT count(*) FROM all_events").await, "5");
    assert_eq!(serve.value("SELECT count(*) FROM dead_letters").await, "0");
    serve.stop().await;
}
