use std::fs;
use std::path::Path;

use super::super::serve::run;
use super::{alone, in_folder};

/// Something wrong in every section.
const BAD: &str = r#"
roles = []
tipo = 1

[http]
lisen = "127.0.0.1:1"
listen = "127.0.0.1:8081"
max_connections = 0
max_body = "32 MiB"
max_decompressed_body = "128 MiB"

[ingest]
max_event = "2 MB"

[event_log]
partitions = 0

[capture]
lease = "1s"
max_batch = "1 KiB"

[kafka]
brokers = ["kafka-1"]

[kafka.tls]
ca_file = "missing/ca.pem"
key_file = "missing/key.pem"
keyfile = "missing/key.pem"

[kafka.sasl]
mechanism = "plain"
password = "hush-hush"
password_env = "KAFKA_PASSWORD"

[postgres]
events_url = "postgres://momsflow:hush-hush@db:notaport/events"

[log]
level = "momsflow=loud"

[[sources]]
name = "Web Site"
key = ""

[[sources]]
name = "app"
key = "hush-hush"
key_env = "APP_KEY"
may_backdate = true

[[sources]]
name = "app"
key_env = "APP_KEY"

[[sources]]
name = "one"
key = "hush-hush-one"

[[sources]]
name = "two"
key = "hush-hush-one"

[[sources]]
name = "three"
key_file = "missing.key"

[[sources]]
name = "four"
key_file = "empty.key"
"#;

#[tokio::test]
async fn every_fault_is_told_at_once_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), BAD).unwrap();
    fs::write(folder.path().join("empty.key"), "\n").unwrap();
    for subcommand in ["serve", "check", "status"] {
        let ran = run(in_folder(folder.path(), &[subcommand, "--config", "bad.toml"])).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hush-hush"), "{}", ran.stderr);
        if subcommand == "status" {
            // It takes no events, and whoever asks may not be allowed to read the keys.
            assert!(
                !ran.stderr.contains(".2.key_file: ") && !ran.stderr.contains("sources.3.key_file: "),
                "{}",
                ran.stderr
            );
            assert!(
                ran.stderr.contains("is the key of the source `one` too"),
                "{}",
                ran.stderr
            );
            continue;
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!("config_with_every_fault", ran.stderr);
        }
    }
    assert!(
        !folder.path().join("momsflow-data").exists(),
        "a bad config made something"
    );
}

#[tokio::test]
async fn a_config_that_cannot_be_read_says_where() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("toml", "[http"),
        ("type", "http = 3"),
        ("address", "[http]\nlisten = \"here\""),
        ("duration", "shutdown_deadline = \"soon\""),
        (
            "nested",
            "[kafka.sasl]\nmechanism = \"md5\"\nusername = {}\n[kafka]\npartitions = \"x\"\ntls = true",
        ),
        (
            "half",
            "[kafka.sasl]\nusername = \"u\"\npassword = \"p\"\n[kafka.tls]\ncertificate_file = \"/\"",
        ),
        (
            "types",
            "shutdown_deadline = 3\n[capture]\nlease = 3\nmonths_ahead = \"x\"\n[http]\nlisten = \"here\"\n\
             [[sources]]\nname = \"a\"\nkey = \"k\"\n[[sources]]\nname = \"b\"\nkey = \"l\"\ntrusted = \"perhaps\"",
        ),
        (
            "values",
            "roles = [\"ingest\", \"captur\"]\npostgres = \"postgres://u:hush-hush@h/d\"\nwrite_key = 4711\n\
             [capture]\nmonths_ahead = 300\n[ingest]\nip = \"hide\"\nmax_event = \"big\"\n\
             [log]\nformat = \"pretty\"\n[kafka]\ncompression = \"zstd\"\n[sources]\nname = \"a\"\nkey = \"hush-hush\"",
        ),
    ] {
        fs::write(folder.path().join("bad.toml"), text).unwrap();
        let ran = run(in_folder(folder.path(), &["serve", "--config", "bad.toml"])).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            !ran.stderr.contains("hush-hush") && !ran.stderr.contains("4711"),
            "{}",
            ran.stderr
        );
        insta::assert_snapshot!(format!("config_malformed_{name}"), ran.stderr);
    }
    let ran = alone(&["serve", "--config", "missing.toml"]).await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("missing.toml cannot be read"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn the_environment_wins_over_the_file_and_flags_over_both() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("c.toml"),
        "roles = [\"ingest\"]\ndata_dir = \"file\"\n[http]\nlisten = \"127.0.0.1:1001\"\nmax_connections = 7\n",
    )
    .unwrap();
    let mut command = in_folder(folder.path(), &["config", "show", "--json", "--data-dir", "flag"]);
    command
        .env("MOMSFLOW_CONFIG", "c.toml")
        .env("MOMSFLOW_HTTP__LISTEN", "127.0.0.1:1002")
        .env("MOMSFLOW_DATA_DIR", "environment")
        .env("MOMSFLOW_ROLES", "ingest,capture");
    let config = run(command).await.json();
    assert_eq!(config["data_dir"], "flag");
    assert_eq!(config["http"]["listen"], "127.0.0.1:1002");
    assert_eq!(config["http"]["max_connections"], 7);
    assert_eq!(config["roles"], serde_json::json!(["ingest", "capture"]));

    let mut command = in_folder(folder.path(), &["config", "show"]);
    command.env("MOMSFLOW_HTPP__LISTEN", "127.0.0.1:1002");
    let ran = run(command).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("htpp: is not a known key"), "{}", ran.stderr);
}

/// A value of the environment is named by its variable, also where the file has the key too.
#[tokio::test]
async fn a_wrong_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("c.toml"),
        "[log]\nformat = \"json\"\nlevel = 3\n",
    )
    .unwrap();
    let mut command = in_folder(folder.path(), &["config", "show", "--config", "c.toml"]);
    command
        .env("MOMSFLOW_LOG__FORMAT", "pretty")
        .env("MOMSFLOW_ROLES", "ingest,captur")
        .env("MOMSFLOW_HTTP__LISTEN", "8080")
        .env("MOMSFLOW_HTPP__LISTEN", "127.0.0.1:8080");
    let ran = run(command).await;
    assert_eq!(ran.code, Some(2));
    for says in [
        "log.format: must be one of text, json, auto, but is \"pretty\" in MOMSFLOW_LOG__FORMAT (hint: format = \"auto\")",
        "roles: must be a list of ingest, capture, pixel, user-views, but is [\"ingest\", \"captur\"] in MOMSFLOW_ROLES",
        "http.listen: must be an address and a port, but is \"8080\" in MOMSFLOW_HTTP__LISTEN",
        "htpp: is not a known key, which MOMSFLOW_HTPP__LISTEN sets",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
}

/// Also where a value is understood and cannot be used.
#[tokio::test]
async fn a_value_that_cannot_be_used_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[http]\nlisten = \"127.0.0.1:8081\"\n\n[postgres]\nevents_url_file = \"url\"\nviews_url_env = \"VIEWS\"\n";
    fs::write(folder.path().join("c.toml"), text).unwrap();
    fs::write(folder.path().join("url"), "hush-hush").unwrap();
    let mut command = in_folder(
        folder.path(),
        &["check", "--config", "c.toml", "--roles", "ingest"],
    );
    command.env("MOMSFLOW_CAPTURE__LEASE", "1s");
    let ran = run(command).await;
    assert_eq!(ran.code, Some(2));
    for says in [
        "capture.lease: must be at least 2s; it is \"1s\" in MOMSFLOW_CAPTURE__LEASE (hint: ",
        "roles: must hold capture, and ingest or pixel: the embedded event log belongs to one process; it is [\"ingest\"] \
         in --roles (hint: ",
        "admin.listen: must differ from http.listen; it is \"127.0.0.1:8081\" by default (hint: give one of them \
         another port)",
        "postgres.events_url_file: must be a PostgreSQL URL; it is \"url\" in c.toml:5 (hint: ",
        "postgres.views_url_env: the variable VIEWS is not set; it is \"VIEWS\" in c.toml:6 (hint: set it, or use \
         views_url_file)",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("hush-hush"), "{}", ran.stderr);
}

/// The embedded log belongs to one process.
#[tokio::test]
async fn roles_cannot_be_spread_over_processes_without_kafka() {
    for roles in ["ingest", "capture"] {
        let ran = alone(&["serve", "--roles", roles]).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("roles: must hold capture, and ingest or pixel"),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn show_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "hush-hush-hush";
    fs::write(
        folder.path().join("c.toml"),
        format!(
            "write_key = \"{secret}\"\n[postgres]\nevents_url = \"postgres://u:{secret}@h/a\"\n\
             views_url = \"postgres://u:{secret}@h/b\"\n[[sources]]\nname = \"web\"\nkey = \"{secret}\"\n\
             [kafka.sasl]\nmechanism = \"plain\"\nusername = \"u\"\npassword = \"{secret}\"\n"
        ),
    )
    .unwrap();
    for output in [
        &["config", "show", "--config", "c.toml"][..],
        &["config", "show", "--config", "c.toml", "--json"],
    ] {
        let shown = run(in_folder(folder.path(), output)).await.expect(0);
        assert!(!shown.contains(secret), "{shown}");
        assert_eq!(shown.matches("***").count(), 5, "{shown}");
    }
}

#[tokio::test]
async fn the_example_config_is_what_reference_prints() {
    let printed = alone(&["config", "reference"]).await.expect(0);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/momsflow.toml");
    assert_eq!(
        fs::read_to_string(example).unwrap(),
        printed,
        "write it anew: momsflow config reference > config/momsflow.toml"
    );
}

/// Each key of the reference, uncommented, says what holds without it.
#[tokio::test]
async fn the_reference_states_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let reference = alone(&["config", "reference"]).await.expect(0);
    let (keys, sources) = reference.split_once("# [[sources]]").unwrap();
    let is_key = |line: &str| {
        let name = line.split(" = ").next().unwrap();
        line.contains(" = ") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let uncommented: Vec<_> = keys
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|line| is_key(line))
                .unwrap_or(line)
        })
        .collect();
    let set = uncommented.iter().filter(|line| is_key(line)).count();
    assert!(set > 20, "only {set} keys were uncommented");
    assert!(sources.contains("# key_file"));
    fs::write(folder.path().join("all.toml"), uncommented.join("\n")).unwrap();
    let defaults = alone(&["config", "show"]).await.expect(0);
    let stated = run(in_folder(
        folder.path(),
        &["config", "show", "--config", "all.toml"],
    ))
    .await;
    assert_eq!(stated.expect(0), defaults);
}
