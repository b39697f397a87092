//! TLS to a PostgreSQL of the user's own that lets nobody in without it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use momsflow::embedded::EmbeddedPostgres;
use reqwest::StatusCode;
use serde_json::json;
use tokio_postgres::Client;

use crate::kafka::secure::certificates::Authority;
use crate::serve::{Ran, Serve, momsflow, run, until};
use crate::shared::event_store;
use crate::support::{DataDir, connect, value};

/// Asks for a certificate of the client too.
const MUTUAL: &str = "mutual";
const PLAIN: &str = "momsflow";

/// A server with a certificate for `localhost`.
struct Server {
    postgres: EmbeddedPostgres,
    folder: DataDir,
}

impl Server {
    async fn start() -> Self {
        let folder = DataDir::new();
        let postgres = folder.start().await;
        let server = Self { postgres, folder };
        let authority = Authority::new(server.folder.parent(), "ca");
        authority.sign(server.folder.parent(), "server", "localhost", 2090);
        authority.sign(server.folder.parent(), "client", "client", 2090);
        Authority::new(server.folder.parent(), "stranger").sign(
            server.folder.parent(),
            "nobody",
            "client",
            2090,
        );
        for key in ["client.key", "nobody.key"] {
            let own = Permissions::from_mode(0o600);
            fs::set_permissions(server.file(key), own).unwrap();
        }
        server.allow_only_tls().await;
        server
    }

    async fn allow_only_tls(&self) {
        let cluster = self.folder.postgres("cluster");
        let owner = fs::metadata(&cluster).unwrap();
        for file in ["server.crt", "server.key", "ca.pem"] {
            let copy = cluster.join(file);
            fs::copy(self.file(file), &copy).unwrap();
            fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
            use std::os::unix::fs::MetadataExt as _;
            chown(&copy, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        fs::write(
            cluster.join("pg_hba.conf"),
            "local all all scram-sha-256\n\
             hostssl mutual_events,mutual_views all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n\
             hostssl momsflow_events,momsflow_views all 127.0.0.1/32 scram-sha-256\n",
        )
        .unwrap();
        let admin = self.admin().await;
        for statement in [
            "CREATE DATABASE mutual_events",
            "CREATE DATABASE mutual_views",
            "ALTER SYSTEM SET ssl_cert_file = 'server.crt'",
            "ALTER SYSTEM SET ssl_key_file = 'server.key'",
            "ALTER SYSTEM SET ssl_ca_file = 'ca.pem'",
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
        ] {
            admin.batch_execute(statement).await.unwrap();
        }
        until("the server speaks TLS", async || {
            value(&self.admin().await, "SHOW ssl").await == "on"
        })
        .await;
    }

    async fn admin(&self) -> Client {
        connect(&self.postgres.events_config()).await.unwrap()
    }

    fn file(&self, name: &str) -> String {
        self.folder.parent().join(name).display().to_string()
    }

    fn password(&self) -> String {
        self.postgres.connections().owner_password().reveal().to_owned()
    }

    fn url(&self, host: &str, database: &str, parameters: &str) -> String {
        let port = self.postgres.connections().port();
        format!(
            "postgres://momsflow:{}@{host}:{port}/{database}{parameters}",
            self.password()
        )
    }

    /// A config of both databases, each with these parameters.
    fn toml(&self, host: &str, databases: &str, parameters: &str) -> String {
        let url = |kind| self.url(host, &format!("{databases}_{kind}"), parameters);
        format!(
            "[postgres]\nevents_url = \"{}\"\nviews_url = \"{}\"\n",
            url("events"),
            url("views")
        )
    }

    fn certificate(&self, name: &str) -> String {
        format!(
            "certificate_file = \"{}\"\nkey_file = \"{}\"\n",
            self.file(&format!("{name}.crt")),
            self.file(&format!("{name}.key"))
        )
    }

    /// Sessions of momsflow on a database: over TLS, and not.
    async fn sessions(&self, database: &str) -> String {
        let query = format!(
            "SELECT (count(*) FILTER (WHERE ssl) > 0)::text || ' ' || count(*) FILTER (WHERE NOT ssl) \
             FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
             WHERE datname = '{database}' AND application_name = 'momsflow' AND client_addr IS NOT NULL"
        );
        value(&self.admin().await, &query).await
    }
}

/// A subcommand that needs no serve, on this config.
async fn alone(config: &str, arguments: &[&str], env: &[(&str, &str)]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let listen = "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(folder.path().join("c.toml"), format!("{config}{listen}")).unwrap();
    let mut command: Command = momsflow();
    command.current_dir(folder.path()).envs(env.iter().copied());
    let (own, passed) = arguments.split_at(
        arguments
            .iter()
            .position(|argument| *argument == "--")
            .unwrap_or(arguments.len()),
    );
    command.args(own).args(["--config", "c.toml"]).args(passed);
    run(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_speaks_tls_as_the_config_says() {
    let server = Server::start().await;
    let ca = server.file("ca.pem");
    let file = |kind: &str, parameters: &str| {
        let path = server.file(&format!("{kind}.url"));
        let url = server.url("localhost", &format!("momsflow_{kind}"), parameters);
        fs::write(&path, url + "\n").unwrap();
        path
    };
    let by_file = format!(
        "[postgres]\nevents_url_file = \"{}\"\nviews_url_env = \"VIEWS\"\n[postgres.tls]\nca_file = \"{ca}\"\n",
        file("events", "")
    );
    let views = server.url("localhost", "momsflow_views", "");
    let strict = format!("?sslmode=verify-full&sslrootcert={ca}");
    let ways = [
        ("verify-full", PLAIN, server.toml("localhost", PLAIN, &strict)),
        (
            "verify-ca",
            PLAIN,
            server.toml("127.0.0.1", PLAIN, &strict.replace("full", "ca")),
        ),
        (
            "require",
            PLAIN,
            server.toml("127.0.0.1", PLAIN, "?sslmode=require"),
        ),
        ("prefer", PLAIN, server.toml("127.0.0.1", PLAIN, "")),
        ("verify-full", PLAIN, by_file),
        (
            "verify-full",
            MUTUAL,
            format!(
                "{}[postgres.tls]\nca_file = \"{ca}\"\n{}",
                server.toml("localhost", MUTUAL, ""),
                server.certificate("client")
            ),
        ),
    ];
    let env = [("VIEWS", views.as_str())];
    for (way, (mode, databases, config)) in ways.into_iter().enumerate() {
        let mut serve = Serve::start_with(&config, &env).await;
        let event = json!({"userId": "u", "event": "Read", "messageId": format!("m-{way}")});
        assert_eq!(serve.post("/v1/track", &event).await.0, StatusCode::OK);
        serve.settle().await;
        assert_eq!(
            server.sessions(&format!("{databases}_events")).await,
            "true 0",
            "{way}"
        );
        let status = serve.status_text().await;
        assert!(status.contains(&format!("sslmode {mode}")), "{way}: {status}");
        let said = serve.log() + &serve.printed() + &status + &serve.cli(&["config", "show"]).await.expect(0);
        assert!(!said.contains(&server.password()), "{way}: {said}");
        serve.stop().await;

        for (command, says) in [
            (vec!["check"], "ok       event store: answers"),
            (vec!["migrate"], "event store: version"),
            (vec!["events", "list"], "Read"),
            (
                vec![
                    "psql",
                    "--",
                    "-At",
                    "-c",
                    "SELECT 'over ' || version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                ],
                "over TLSv1.3",
            ),
            (vec!["psql", "views", "--", "-At", "-c", "SELECT 1"], "1"),
        ] {
            let ran = alone(&config, &command, &env).await;
            assert_eq!(
                ran.code,
                Some(0),
                "{way} {command:?}: {}{}",
                ran.stdout,
                ran.stderr
            );
            assert!(ran.stdout.contains(says), "{way} {command:?}: {}", ran.stdout);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_tls_is_named_with_its_remedy() {
    let server = Server::start().await;
    let plain = event_store().await;
    let without_tls = format!(
        "[postgres]\nevents_url = \"{0}\"\nviews_url = \"{0}\"\n",
        format_args!(
            "postgres://momsflow@127.0.0.1:{}/d?sslmode=require",
            plain.get_ports()[0]
        )
    );
    let (ca, stranger) = (server.file("ca.pem"), server.file("stranger.pem"));
    let mutual = server.toml("localhost", MUTUAL, &format!("?sslrootcert={ca}"));
    let mixed = format!(
        "certificate_file = \"{}\"\nkey_file = \"{}\"\n",
        server.file("client.crt"),
        server.file("nobody.key")
    );
    for (config, says) in [
        (
            server.toml(
                "localhost",
                PLAIN,
                &format!("?sslmode=verify-full&sslrootcert={stranger}"),
            ),
            "signed by an authority that is not trusted here; name that authority's certificate in \
             postgres.tls.ca_file (sslrootcert)",
        ),
        (
            server.toml(
                "localhost",
                PLAIN,
                &format!("?sslmode=require&sslrootcert={stranger}"),
            ),
            "not trusted here",
        ),
        (
            server.toml(
                "127.0.0.1",
                PLAIN,
                &format!("?sslmode=verify-full&sslrootcert={ca}"),
            ),
            "the server's certificate is for another host",
        ),
        (without_tls, "the server speaks no TLS"),
        (
            server.toml("127.0.0.1", PLAIN, "?sslmode=disable"),
            "no encryption",
        ),
        (mutual.clone(), "requires a valid client certificate"),
        (
            format!("{mutual}[postgres.tls]\n{}", server.certificate("nobody")),
            "the server does not take this client's certificate",
        ),
        (
            format!("{mutual}[postgres.tls]\n{mixed}"),
            "postgres.tls.key_file (sslkey): ",
        ),
    ] {
        let checked = alone(&config, &["check"], &[]).await;
        let said = checked.stdout + &checked.stderr;
        assert_eq!(checked.code, Some(1), "{says}: {said}");
        assert!(said.contains(says), "{says}: {said}");
        assert!(!said.contains(&server.password()), "{said}");
        let psql = alone(&config, &["psql", "--", "-c", "SELECT 1"], &[]).await;
        assert_ne!(psql.code, Some(0), "{says}: psql was let in");
    }
}

/// Certificates are mended outside: until then events wait in the log.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_goes_on_while_a_certificate_is_refused() {
    let server = Server::start().await;
    let config = |authority: &str| {
        let parameters = format!("?sslmode=verify-full&sslrootcert={}", server.file(authority));
        server.toml("localhost", PLAIN, &parameters)
    };
    let mut serve = Serve::start(&config("ca.pem")).await;
    serve.stop().await;
    fs::write(serve.folder().join("momsflow.toml"), config("stranger.pem")).unwrap();
    serve.launch();
    let event = json!({"userId": "u", "event": "Read", "messageId": "waits"});
    let client = serve.client();
    until("it takes events", async || {
        client.get(serve.url("/live")).send().await.is_ok()
    })
    .await;
    assert_eq!(serve.post("/v1/track", &event).await.0, StatusCode::OK);
    until("ready says why not", async || {
        let (status, reason) = serve.get("/ready").await;
        status == StatusCode::SERVICE_UNAVAILABLE
            && reason.contains("event store")
            && serve.log().contains("not trusted here")
    })
    .await;
    serve.stop().await;
    fs::write(serve.folder().join("momsflow.toml"), config("ca.pem")).unwrap();
    serve.start_again().await;
    serve.settle().await;
    assert_eq!(
        value(&server.admin().await, "SELECT count(*) FROM events").await,
        "1"
    );
}
