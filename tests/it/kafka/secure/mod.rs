//! TLS and users, on a real broker with a listener of every kind.

pub mod certificates;
mod listeners;
mod rights;

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use super::broker::topic_on;
use super::console::tool;
use super::load::{Load, acknowledged_again};
use crate::serve::{Serve, free_address, momsflow, run, until};
use listeners::{CHANGING, PASSWORD, Secured, USER, secured};

/// Names no broker, topic or secret that a case does not.
fn toml(address: &str, rest: &str) -> String {
    let topic = topic_on(address).topic;
    format!(
        "[kafka]\nbrokers = [\"{address}\"]\ntopic = \"{topic}\"\npartitions = 2\nreplication = 1\n\
         min_insync_replicas = 1\n{rest}"
    )
}

fn user(mechanism: &str, password: &str) -> String {
    format!("[kafka.sasl]\nmechanism = \"{mechanism}\"\nusername = \"{USER}\"\n{password}\n")
}

impl Secured {
    /// What trusts the brokers' authority.
    fn tls(&self) -> String {
        format!("[kafka.tls]\nca_file = \"{}\"\n", self.file("ca.pem"))
    }

    /// The same with a certificate of a client.
    fn tls_as(&self, client: &str) -> String {
        let (certificate, key) = (
            self.file(&format!("{client}.crt")),
            self.file(&format!("{client}.key")),
        );
        format!(
            "{}certificate_file = \"{certificate}\"\nkey_file = \"{key}\"\n",
            self.tls()
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_by_every_way_in() {
    let Some(secured) = secured() else { return };
    let file = secured.file("password");
    let by_file = format!("password_file = \"{file}\"");
    let written = format!("password = \"{PASSWORD}\"");
    let tls = secured.tls();
    let ways = [
        ("TLS", "SSL", tls.clone()),
        ("a client certificate", "MTLS", secured.tls_as("client")),
        ("TLS and PLAIN", "SASLSSL", tls.clone() + &user("plain", &by_file)),
        (
            "TLS and SCRAM-SHA-256",
            "SASLSSL",
            tls.clone() + &user("scram-sha-256", "password_env = \"KAFKA_PASSWORD\""),
        ),
        (
            "TLS and SCRAM-SHA-512",
            "SASLSSL",
            tls.clone() + &user("scram-sha-512", &written),
        ),
        ("SCRAM-SHA-512", "SASLPLAIN", user("scram-sha-512", &written)),
    ];
    for (way, listener, config) in ways {
        let config = toml(&secured.address(listener), &config);
        let mut serve = Serve::start_with(&config, &[("KAFKA_PASSWORD", PASSWORD)]).await;
        let batch: Vec<_> = (0..100)
            .map(|number| json!({"type": "track", "event": "Read", "userId": format!("u-{number}"), "messageId": format!("m-{number}")}))
            .collect();
        let (status, answer) = serve.post("/v1/batch", &json!({"batch": batch})).await;
        assert_eq!(status, StatusCode::OK, "{way}: {answer}");
        serve.settle().await;
        let stored = serve
            .value("SELECT count(*) || ' ' || count(DISTINCT event_id) FROM events")
            .await;
        assert_eq!(stored, "100 100", "{way}");
        let checked = serve.cli(&["check"]).await.expect(0);
        assert!(
            checked.contains("ok       kafka: answers; topic "),
            "{way}: {checked}"
        );
        let said = serve.log() + &serve.printed() + &serve.cli(&["config", "show"]).await.expect(0);
        assert!(!said.contains(PASSWORD), "{way}: {said}");
        serve.stop().await;
    }
}

/// The broker ends each connection two seconds after its log-in, which the client library does not repeat.
#[tokio::test(flavor = "multi_thread")]
async fn log_ins_that_run_out_and_a_changed_password_lose_and_double_nothing() {
    let Some(secured) = secured() else { return };
    let config = user("scram-sha-512", &format!("password = \"{PASSWORD}\"")).replace(USER, CHANGING);
    let mut serve = Serve::start(&toml(&secured.address("BRIEF"), &config)).await;
    let load = Load::start(&serve, 4);
    tokio::time::sleep(Duration::from_secs(7)).await;
    load.reached(1000).await;
    assert_eq!(serve.status().await["faults"], json!({}));

    change_password(secured, "another").await;
    let mut said = String::new();
    until("status names the user", async || {
        said = serve.cli(&["status"]).await.stdout;
        said.contains("does not let the user changing in")
    })
    .await;
    assert!(said.contains("kafka.sasl.username"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");

    change_password(secured, PASSWORD).await;
    acknowledged_again(&serve).await;
    load.end_and_compare(&mut serve).await;
    serve.stop().await;
}

async fn change_password(secured: &Secured, password: &str) {
    let config = format!("SCRAM-SHA-512=[password={password}]");
    let arguments = [
        "--bootstrap-server",
        &secured.address("PLAINTEXT"),
        "--alter",
        "--add-config",
        &config,
        "--entity-type",
        "users",
        "--entity-name",
        CHANGING,
    ];
    tool("kafka.admin.ConfigCommand", &arguments, "").await;
}

/// What check says of Kafka, and nothing else that is wrong.
async fn problem(config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.toml"), config).unwrap();
    let mut command = momsflow();
    command
        .args(["check", "--roles", "ingest", "--config", "c.toml"])
        .current_dir(folder.path())
        .env("MOMSFLOW_HTTP__LISTEN", free_address().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", free_address().to_string());
    let ran = run(command).await;
    assert!(!(ran.stdout.clone() + &ran.stderr).contains("wrong-"), "{ran:?}");
    let said = ran.expect(1);
    let problems: Vec<_> = said.lines().filter(|line| line.starts_with("PROBLEM")).collect();
    assert_eq!(problems.len(), 1, "{said}");
    problems[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_fault_with_its_remedy() {
    let Some(secured) = secured() else { return };
    let tls = secured.tls();
    let stranger = format!("[kafka.tls]\nca_file = \"{}\"\n", secured.file("stranger.pem"));
    let wrong = "password = \"wrong-one\"";
    let right = format!("password = \"{PASSWORD}\"");
    let cases = [
        (
            "PLAINTEXT",
            tls.clone(),
            "this port speaks no TLS",
            "SASL_SSL listener",
        ),
        (
            "SASLPLAIN",
            tls.clone(),
            "this port speaks no TLS",
            "SASL_SSL listener",
        ),
        (
            "SSL",
            String::new(),
            "this port speaks TLS",
            "kafka.tls.enabled = true",
        ),
        (
            "MTLS",
            String::new(),
            "this port speaks TLS",
            "kafka.tls.enabled = true",
        ),
        (
            "SASLSSL",
            user("plain", &right),
            "this port speaks TLS",
            "kafka.tls.enabled = true",
        ),
        (
            "SSL",
            stranger,
            "authority that is not trusted",
            "kafka.tls.ca_file",
        ),
        (
            "SSL",
            "[kafka.tls]\nenabled = true\n".to_owned(),
            "authority that is not trusted",
            "kafka.tls.ca_file",
        ),
        ("EXPIRED", tls.clone(), "was valid until 2021-12-31", "renew it"),
        ("FOREIGN", tls.clone(), "another host", "advertised.listeners"),
        (
            "MTLS",
            tls.clone(),
            "wants a certificate of this client",
            "kafka.tls.certificate_file",
        ),
        (
            "MTLS",
            secured.tls_as("stranger"),
            "does not take this client's certificate",
            "truststore",
        ),
        (
            "PLAINTEXT",
            user("plain", &right),
            "takes no users",
            "remove [kafka.sasl]",
        ),
        (
            "SSL",
            tls.clone() + &user("plain", &right),
            "takes no users",
            "remove [kafka.sasl]",
        ),
        (
            "SASLPLAIN",
            String::new(),
            "wants a user, by SCRAM-SHA-512",
            "[kafka.sasl]",
        ),
        ("SASLSSL", tls.clone(), "wants a user, by ", "[kafka.sasl]"),
        (
            "SASLPLAIN",
            user("plain", &right),
            "does not take PLAIN here, but SCRAM-SHA-512",
            "sasl.enabled.mechanisms",
        ),
        (
            "SASLPLAIN",
            user("scram-sha-512", wrong),
            "does not let the user reader in",
            "kafka.sasl.username",
        ),
        (
            "SASLSSL",
            tls.clone() + &user("plain", wrong),
            "does not let the user reader in",
            "kafka.sasl.username",
        ),
        (
            "SASLSSL",
            tls.clone() + &user("scram-sha-256", wrong),
            "does not let the user reader in",
            "kafka.sasl.username",
        ),
    ];
    for (listener, config, fault, remedy) in cases {
        let said = problem(&toml(&secured.address(listener), &config)).await;
        println!("{said}");
        assert!(
            said.contains(fault) && said.contains(remedy),
            "{listener} {config}\n{fault}\n{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_what_they_should_be_are_named() {
    let Some(secured) = secured() else { return };
    let address = secured.address("MTLS");
    let tls = |certificate: &str, key: &str| {
        format!(
            "{}certificate_file = \"{}\"\nkey_file = \"{}\"\n",
            secured.tls(),
            secured.file(certificate),
            secured.file(key)
        )
    };
    let empty = format!(
        "[kafka.sasl]\nmechanism = \"plain\"\nusername = \"u\"\npassword_file = \"{}\"\n",
        secured.file("empty")
    );
    for (config, file, fault) in [
        (
            format!("[kafka.tls]\nca_file = \"{}\"\n", secured.file("password")),
            "password",
            "kafka.tls.ca_file",
        ),
        (
            tls("client.key", "client.key"),
            "client.key",
            "kafka.tls.certificate_file",
        ),
        (
            tls("client.crt", "client.crt"),
            "client.crt",
            "kafka.tls.key_file",
        ),
        (
            tls("client.crt", "stranger.key"),
            "stranger.key",
            "kafka.tls.key_file",
        ),
        (empty, "", "kafka.sasl.password_file"),
    ] {
        let said = problem(&toml(&address, &config)).await;
        println!("{said}");
        assert!(said.contains(file) && said.contains(fault), "{config}\n{said}");
    }
}

/// The client library alone would try for ever.
#[tokio::test(flavor = "multi_thread")]
async fn serve_ends_at_once_where_the_password_is_wrong() {
    let Some(secured) = secured() else { return };
    let config = secured.tls() + &user("scram-sha-512", "password = \"wrong-one\"");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, toml(&secured.address("SASLSSL"), &config)).unwrap();
    let said = serve_in_vain(folder.path(), &file).await;
    assert!(said.contains("does not let the user reader in"), "{said}");
    assert!(said.contains("kafka.sasl.username"), "{said}");
}

async fn serve_in_vain(folder: &Path, config: &Path) -> String {
    let mut command = momsflow();
    command
        .args(["serve", "--roles", "ingest", "--data-dir"])
        .arg(folder.join("data"))
        .arg("--config")
        .arg(config)
        .env("MOMSFLOW_HTTP__LISTEN", free_address().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", free_address().to_string());
    let ran = run(command).await;
    assert_ne!(ran.code, Some(0));
    ran.stderr
}
