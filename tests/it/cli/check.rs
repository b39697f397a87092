use std::fs;
use std::net::TcpListener;

use super::super::serve::{Serve, free_address, run, until};
use super::super::support::kill;
use super::in_folder;

/// Runs check beside no serve and gives exit code and output.
async fn check(config: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let ports = format!(
        "[admin]\nlisten = \"{}\"\n[http]\nlisten = \"{}\"\n",
        free_address(),
        free_address()
    );
    let ports = if config.contains("[http]") { "" } else { &ports };
    fs::write(folder.path().join("c.toml"), format!("{config}\n{ports}")).unwrap();
    let ran = run(in_folder(folder.path(), &["check", "--config", "c.toml"])).await;
    assert!(
        !folder.path().join("momsflow-data").exists(),
        "check made a data dir"
    );
    (ran.code, ran.stdout + &ran.stderr)
}

#[tokio::test]
async fn all_is_well_before_the_first_start() {
    let (code, said) = check("").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("PROBLEM"), "{said}");
    for what in [
        "config",
        "write keys",
        "http.listen",
        "admin.listen",
        "data dir",
        "postgres",
    ] {
        assert!(said.contains(&format!("ok       {what}: ")), "{what}: {said}");
    }
}

#[tokio::test]
async fn each_problem_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free_address();
    let listen = taken.local_addr().unwrap();
    for (config, problem) in [
        (
            format!("[http]\nlisten = \"{listen}\"\n[admin]\nlisten = \"{nobody}\""),
            "http.listen: ",
        ),
        (
            format!("[admin]\nlisten = \"{listen}\"\n[http]\nlisten = \"{nobody}\""),
            "admin.listen: ",
        ),
        ("[postgres]\nbin_dir = \"/nowhere\"".to_owned(), "postgres: "),
        (
            "[event_log]\nmin_free_disk = \"1000 TiB\"".to_owned(),
            "data dir: ",
        ),
        ("data_dir = \"c.toml/data\"".to_owned(), "data dir: "),
        (
            "[[sources]]\nname = \"web\"\nkey_file = \"missing\"".to_owned(),
            "write keys: ",
        ),
        (
            format!(
                "[postgres]\nevents_url = \"postgres://u:hush@{nobody}/a\"\nviews_url = \"postgres://u:hush@{nobody}/b\""
            ),
            "event store: ",
        ),
    ] {
        let (code, said) = check(&config).await;
        assert_eq!(code, Some(1), "{config}: {said}");
        assert!(said.contains(&format!("PROBLEM  {problem}")), "{config}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn beside_a_serve_it_checks_what_runs() {
    let serve = Serve::start("").await;
    let said = serve.cli(&["check"]).await.expect(0);
    assert!(
        said.contains(&format!("serve: running, process {}", serve.pid().unwrap())),
        "{said}"
    );
    assert!(said.contains("ok       event store: answers"), "{said}");

    // PostgreSQL dies again and again, until somebody has looked in between.
    let mut said = String::new();
    until("check names the lost PostgreSQL", async || {
        if let Some(postmaster) = serve.postmaster() {
            kill(postmaster);
        }
        let ran = serve.cli(&["check"]).await;
        said = ran.stdout;
        ran.code == Some(1) && said.contains("PROBLEM  ")
    })
    .await;
    until("it is well again", async || {
        serve.cli(&["check"]).await.code == Some(0)
    })
    .await;
}
