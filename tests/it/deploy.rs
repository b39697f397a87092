//! What the repository offers for deployment: examples, compose file, systemd unit, alerts. Each would rot unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use momsflow::config::Config;
use serde_json::Value;

use crate::serve::{momsflow, run};

/// Where the examples and the unit expect keys and certificates.
const ETC: &str = "/etc/momsflow/";
/// Stands for every secret; hex digits, as .env.example asks for.
const SECRET: &str = "0123456789abcdef";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap()
}

/// The words of a text that begin with `prefix` and go on with capitals, digits and underscores.
fn variables(text: &str, prefix: &str) -> BTreeSet<String> {
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words
        .filter(|word| word.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

/// Copies an example into a folder in which every file that it names exists.
fn at_home(example: &Path, folder: &Path) -> PathBuf {
    let text = fs::read_to_string(example).unwrap();
    let home = format!("{}/", folder.display());
    for named in text.split('"').filter_map(|part| part.strip_prefix(ETC)) {
        let path = folder.join(named);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Keys must differ from each other.
        fs::write(path, named).unwrap();
    }
    let file = folder.join("momsflow.toml");
    fs::write(&file, text.replace(ETC, &home)).unwrap();
    file
}

/// The variables that the head of an example says to set, with a password.
fn commented_variables(example: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(example).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   MOMSFLOW_"));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (format!("MOMSFLOW_{name}"), value.replace("PASSWORD", SECRET)))
        .collect()
}

#[tokio::test]
async fn every_example_is_a_configuration_and_what_its_name_says() {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(root().join("config/examples")).unwrap() {
        let example = entry.unwrap().path();
        let name = example.file_stem().unwrap().to_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let config = at_home(&example, folder.path());
        let variables = commented_variables(&example);
        let mut show = momsflow();
        show.args(["config", "show", "--json", "--config"])
            .arg(&config)
            .envs(variables.clone());
        let shown = run(show).await;
        assert_eq!(shown.code, Some(0), "{name}: {}", shown.stderr);
        assert!(!shown.stdout.contains(SECRET), "{name} shows a password");
        // Also the keys of the sources, which only commands that take events read.
        let mut check = momsflow();
        check
            .args(["check", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.path())
            .envs(variables);
        if !name.starts_with("kafka") {
            let checked = run(check).await.stdout;
            assert!(
                checked.contains("ok       write keys: 2 sources"),
                "{name}: {checked}"
            );
        }
        seen.insert(name, serde_json::from_str::<Value>(&shown.stdout).unwrap());
    }
    let names: Vec<_> = seen.keys().map(String::as_str).collect();
    let expected = [
        "kafka-capture",
        "kafka-ingest",
        "kafka-tls-capture",
        "kafka-tls-ingest",
        "one-host",
        "own-postgres",
    ];
    assert_eq!(names, expected);
    for (name, config) in &seen {
        let (kafka, is_capture) = (&config["kafka"], name.ends_with("capture"));
        let brokers = if name.starts_with("kafka") { 3 } else { 0 };
        assert_eq!(kafka["brokers"].as_array().unwrap().len(), brokers, "{name}");
        let roles = match (brokers, is_capture) {
            (0, _) => vec!["ingest", "capture", "pixel", "user-views"],
            (_, true) => vec!["capture", "user-views"],
            (_, false) => vec!["ingest"],
        };
        assert_eq!(config["roles"], serde_json::json!(roles), "{name}");
        let is_secure = name.contains("tls");
        assert_eq!(kafka["tls"]["key_file"].is_string(), is_secure, "{name}");
        assert_eq!(kafka["sasl"]["mechanism"] == "scram-sha-512", is_secure, "{name}");
        let has_url = is_capture || name == "own-postgres";
        assert_eq!(config["postgres"]["events_url"] == "***", has_url, "{name}");
    }
}

/// Puts [`SECRET`] where compose would put an unset variable, and the default where there is one.
fn interpolated(text: &str) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once('}').unwrap();
        out.push_str(inside.split_once(":-").map_or(SECRET, |(_, default)| default));
        out.push_str(rest);
    }
    out
}

#[tokio::test]
async fn compose_configures_momsflow_with_what_it_understands() {
    let compose = yaml("compose.yaml");
    let environment = compose["services"]["momsflow"]["environment"]
        .as_object()
        .unwrap();
    let mut command = momsflow();
    command.args(["config", "show", "--json"]);
    for (name, value) in environment {
        assert!(name.starts_with("MOMSFLOW_"), "{name} is none of momsflow's");
        let text = value.as_str().map_or_else(|| value.to_string(), interpolated);
        command.env(name, text);
    }
    let config = run(command).await.json();
    assert_eq!(config["kafka"]["brokers"], serde_json::json!(["kafka:9092"]));
    assert_eq!(config["kafka"]["replication"], 1);
    assert_eq!(config["postgres"]["events_url"], "***");

    let asked = variables(&read("compose.yaml"), "");
    let offered = read(".env.example");
    for line in offered
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let name = line.split_once('=').unwrap().0;
        assert!(asked.contains(name), "{name} of .env.example is not used");
    }
    for part in read("compose.yaml").split("${").skip(1) {
        let name = part.split([':', '}']).next().unwrap();
        assert!(
            offered.contains(&format!("\n{name}=")),
            "{name} is not in .env.example"
        );
    }
}

#[test]
fn compose_pins_checks_and_hides_its_services() {
    let compose = yaml("compose.yaml");
    let services = compose["services"].as_object().unwrap();
    let volumes = compose["volumes"].as_object().unwrap();
    let names: Vec<_> = services.keys().map(String::as_str).collect();
    assert_eq!(names, ["kafka", "postgres", "momsflow", "grafana", "metabase"]);
    for (name, service) in services {
        let (_, tag) = service["image"].as_str().unwrap().rsplit_once(':').unwrap();
        assert!(
            tag.matches('.').count() >= 1 && tag != "latest",
            "{name} is not pinned: {tag}"
        );
        assert!(
            service["healthcheck"]["test"].is_array(),
            "{name} has no health check"
        );
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        for (other, wait) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services.contains_key(other), "{name} waits for {other}");
            assert_eq!(wait["condition"], "service_healthy", "{name} on {other}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = interpolated(port.as_str().unwrap());
            assert!(
                port.starts_with("127.0.0.1:"),
                "{name} publishes {port} to everyone"
            );
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => assert!(root().join(path).is_file(), "{name} mounts {path}"),
                None => assert!(volumes.contains_key(source), "{name} mounts {source}"),
            }
        }
        for network in service["networks"].as_array().unwrap() {
            let networks = compose["networks"].as_object().unwrap();
            assert!(
                networks.contains_key(network.as_str().unwrap()),
                "{name}: {network}"
            );
        }
    }
    let version = format!("momsflow:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(services["momsflow"]["image"], version);
    // An init script that is no program is run inside the image's own shell, which it would end.
    let script = root().join("deploy/compose/postgres-init.sh");
    let mode = std::os::unix::fs::MetadataExt::mode(&script.metadata().unwrap());
    assert_eq!(mode & 0o111, 0o111);
}

/// Values of a unit's key, in order.
fn unit_values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

#[tokio::test]
async fn the_unit_fits_the_defaults_and_systemd_understands_it() {
    let unit = read("deploy/systemd/momsflow.service");
    let defaults = Config::default();
    let stop = unit_values(&unit, "TimeoutStopSec")[0];
    let stop = Duration::from_secs(stop.trim_end_matches('s').parse().unwrap());
    assert!(stop > defaults.shutdown_deadline + Duration::from_secs(5));
    let files: usize = unit_values(&unit, "LimitNOFILE")[0].parse().unwrap();
    assert!(files > 2 * defaults.http.max_connections);

    // The command line as it stands, on files of this test.
    let folder = tempfile::tempdir().unwrap();
    let config = at_home(&root().join("config/examples/one-host.toml"), folder.path());
    let line = unit_values(&unit, "ExecStart")[0]
        .replace("/etc/momsflow/momsflow.toml", &config.display().to_string())
        .replace("/var/lib/momsflow", &folder.path().display().to_string());
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("/usr/local/bin/momsflow"));
    assert_eq!(words.next(), Some("serve"));
    let mut show = momsflow();
    show.args(["config", "show"]).args(words);
    run(show).await.expect(0);

    let own = folder.path().join("momsflow.service");
    fs::write(
        &own,
        unit.replace("/usr/local/bin/momsflow", env!("CARGO_BIN_EXE_momsflow")),
    )
    .unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&own).output();
    match verified {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let ours: Vec<_> = said
                .lines()
                .filter(|line| line.contains("momsflow.service"))
                .collect();
            assert!(output.status.success() && ours.is_empty(), "{said}");
        }
        Err(error) => println!("skipped: systemd-analyze: {error}"),
    }
}

/// The metrics that are exported, with the suffixes that histograms have.
fn exported() -> BTreeSet<String> {
    let source = read("src/telemetry/metric.rs");
    let mut names = BTreeSet::new();
    for part in source.split("pub const ").skip(1) {
        let Some((constant, rest)) = part.split_once(": &str = \"") else {
            continue;
        };
        let name = rest.split('"').next().unwrap();
        let described = source.split("describe_histogram!(").skip(1);
        match described
            .map(str::trim_start)
            .any(|text| text.starts_with(&format!("{constant},")))
        {
            true => names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"))),
            false => {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn every_alert_is_over_metrics_that_exist_and_is_explained() {
    let exported = exported();
    assert!(
        exported.contains("momsflow_spool_bytes") && exported.contains("momsflow_log_append_seconds_bucket")
    );
    let rules = yaml("dashboards/prometheus/alerts.yml");
    let manual = read("docs/operations.md");
    let mut names = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        let used = variables(rule["expr"].as_str().unwrap(), "momsflow_");
        assert!(
            !used.is_empty() || name == "MomsflowDown",
            "{name} looks at nothing of momsflow"
        );
        for metric in used {
            assert!(exported.contains(&metric), "{name}: there is no metric {metric}");
        }
        assert!(rule["annotations"]["summary"].is_string(), "{name}");
        assert!(
            ["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
        assert!(
            manual.contains(&format!("| `{name}` |")),
            "docs/operations.md does not explain {name}"
        );
    }
    let explained = variables(&manual, "Momsflow");
    assert_eq!(
        explained, names,
        "docs/operations.md explains what there is, and nothing else"
    );

    let file = root().join("dashboards/prometheus/alerts.yml");
    let promtool = Command::new("promtool")
        .args(["check", "rules"])
        .arg(file)
        .stdout(Stdio::null())
        .status();
    match promtool {
        Ok(status) => assert!(status.success()),
        Err(error) => println!("skipped: promtool: {error}"),
    }
}
