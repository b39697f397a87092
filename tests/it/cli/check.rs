use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::super::serve::{Serve, free_address, run, until};
use super::super::support::kill;
use super::in_folder;

/// Runs check beside no serve and gives exit code and output.
async fn check(config: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
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
        "userprint keys",
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
async fn the_keys_of_visitors_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let said = async |more: &str| {
        let ports = [free_address(), free_address()];
        let listen = format!(
            "[admin]\nlisten = \"{}\"\n[http]\nlisten = \"{}\"\n",
            ports[0], ports[1]
        );
        fs::write(folder.path().join("c.toml"), format!("{more}\n{listen}")).unwrap();
        let ran = run(in_folder(
            folder.path(),
            &["check", "--config", "c.toml", "--data-dir", "data"],
        ))
        .await;
        (ran.code, ran.stdout + &ran.stderr)
    };
    let keys = folder.path().join("data/userprint-keys");
    let (code, none) = said("").await;
    assert_eq!(code, Some(0), "{none}");
    assert!(
        none.contains("ok       userprint keys: serve will make one, in data/userprint-keys"),
        "{none}"
    );
    assert!(!keys.exists(), "check made a key");

    fs::write(
        &keys,
        "[{\"id\":\"k1\",\"key\":\"a secret that nobody may see 0123\"",
    )
    .unwrap();
    let (code, damaged) = said("").await;
    assert_eq!(code, Some(1), "{damaged}");
    for says in [
        "PROBLEM  userprint keys: data/userprint-keys cannot be understood",
        "\n         hint: put it back",
    ] {
        assert!(damaged.contains(says), "{says}: {damaged}");
    }
    assert!(!damaged.contains("secret that"), "{damaged}");

    fs::write(
        &keys,
        r#"[{"id":"k1","key":"a secret that nobody may see 0123","signs_from":"2026-11-24T06:00:00Z"}]"#,
    )
    .unwrap();
    let (_, own) = said(&format!("[kafka]\nbrokers = [\"{}\"]", free_address())).await;
    for says in [
        "ok       userprint keys: 1 of which k1 signs, in data/userprint-keys",
        "\n         note: the userprint keys are this host's own",
    ] {
        assert!(own.contains(says), "{says}: {own}");
    }

    let given = "[[userprint_keys]]\nid = \"k7\"\nkey = \"another key of thirty-two characters\"";
    let (_, given) = said(&format!("{given}\n[kafka]\nbrokers = [\"{}\"]", free_address())).await;
    assert!(
        given.contains("ok       userprint keys: 1 of which k7 signs, from the configuration"),
        "{given}"
    );
    assert!(!given.contains("this host's own"), "{given}");
    let (code, away) = said("[[userprint_keys]]\nid = \"k7\"\nkey_file = \"nowhere\"").await;
    assert!(
        code == Some(2) && away.contains("userprint_keys.0.key_file"),
        "{away}"
    );
}

/// As root PostgreSQL runs as another user, who may not get as far as the data dir. What check says is what serve
/// would end with.
#[tokio::test]
async fn a_data_dir_that_postgres_cannot_reach_is_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root starts PostgreSQL as another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().canonicalize().unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let ports = format!(
        "[admin]\nlisten = \"{}\"\n[http]\nlisten = \"{}\"\n",
        free_address(),
        free_address()
    );
    fs::write(closed.join("c.toml"), ports).unwrap();
    let command = |subcommand| in_folder(&closed, &[subcommand, "--config", "c.toml", "--data-dir", "a/b"]);
    let fault = format!("cannot enter {}, and so not reach the data dir", closed.display());
    let remedy = format!(
        "hint: use another data dir (--data-dir /var/lib/momsflow), or let others pass: chmod o+x {}",
        closed.display()
    );

    let checked = run(command("check")).await;
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(
        checked.stdout.contains("PROBLEM  postgres: the user "),
        "{}",
        checked.stdout
    );
    for says in [&fault, &format!("\n         {remedy}")] {
        assert!(checked.stdout.contains(says), "{says}: {}", checked.stdout);
    }
    assert!(!closed.join("a").exists(), "check made a folder");
    let served = run(command("serve")).await;
    assert_eq!(served.code, Some(1));
    for says in [&fault, &remedy] {
        assert!(served.stderr.contains(says), "{says}: {}", served.stderr);
    }

    fs::set_permissions(&closed, Permissions::from_mode(0o711)).unwrap();
    let checked = run(command("check")).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
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
