use std::collections::HashMap;
use std::fmt::Display;
use std::net::TcpListener;
use std::process::ExitCode;

use jiff::Timestamp;

use super::databases::{databases, open};
use super::{PROBLEM, output};
use crate::app::{foresee_drain, foresee_userprint_keys, needs_of_kafka, refuse_to_leave_kafka};
use crate::broker::kafka::{self, PreflightError};
use crate::config::{Config, Role};
use crate::control::client::Client as Control;
use crate::control::message::Status;
use crate::embedded::{check_access, find};
use crate::http::Sources;

/// Checks everything that serve needs and says all that is wrong.
pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    report.good("config", "understood");
    let env: HashMap<String, String> = std::env::vars().collect();
    match Sources::load(&config.sources, &env) {
        Ok(_) => report.good("write keys", &keys(&config)),
        Err(error) => report.bad("write keys", &error),
    }
    if config.takes_events() {
        match foresee_userprint_keys(&config, &env, Timestamp::now()) {
            Ok(keys) => report.good("userprint keys", &keys),
            Err(error) => report.bad("userprint keys", &format!("{error:#}")),
        }
    }
    let running: Option<Status> = Control::new(&config.data_dir).get("/status").await.ok();
    match &running {
        Some(status) => report.good("serve", &format!("running, process {}", status.pid)),
        None => check_ports(&config, &mut report),
    }
    check_data_dir(&config, &mut report);
    check_kafka(&config, &mut report).await;
    check_postgres(&config, running.is_some(), &mut report).await;
    for (part, reason) in running.into_iter().flat_map(|status| status.faults) {
        report.bad(&part, &reason);
    }
    report.finish()
}

fn keys(config: &Config) -> String {
    match (config.sources.len(), &config.write_key) {
        (0, Some(_)) => "one, from the configuration".to_owned(),
        (0, None) => format!("one, in {}", config.data_dir.join("write-key").display()),
        (count, _) => format!("{count} sources"),
    }
}

fn check_ports(config: &Config, report: &mut Report) {
    for (name, addr) in [
        ("http.listen", config.http.listen),
        ("admin.listen", config.admin.listen),
    ] {
        match TcpListener::bind(addr) {
            Ok(_) => report.good(name, &format!("{addr} is free")),
            Err(error) => report.bad(name, &format!("{addr}: {error}")),
        }
    }
}

fn check_data_dir(config: &Config, report: &mut Report) {
    let mut folder = config.data_dir.as_path();
    while !folder.exists() {
        folder = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => std::path::Path::new("."),
        };
    }
    if !folder.is_dir() {
        return report.bad("data dir", &format!("{} is no folder", folder.display()));
    }
    let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK);
    let free = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match (writable, free) {
        (Err(error), _) | (_, Err(error)) => {
            report.bad("data dir", &format!("{}: {error}", folder.display()))
        }
        (Ok(()), Ok(free)) if free < config.event_log.min_free_disk.as_u64() => report.bad(
            "data dir",
            &format!(
                "{} has {} free, event_log.min_free_disk wants {}",
                folder.display(),
                bytesize::ByteSize::b(free),
                config.event_log.min_free_disk
            ),
        ),
        (Ok(()), Ok(free)) => report.good(
            "data dir",
            &format!(
                "{}, {} free",
                config.data_dir.display(),
                bytesize::ByteSize::b(free)
            ),
        ),
    }
}

async fn check_kafka(config: &Config, report: &mut Report) {
    if !config.kafka.is_used() {
        if let Err(error) = refuse_to_leave_kafka(config) {
            report.bad("event log", &error);
        }
        return;
    }
    match foresee_drain(config) {
        Ok(None) => {}
        Ok(Some(plan)) => report.good("former log", &plan),
        Err(error) => report.bad("former log", &error),
    }
    let topic = &config.kafka.topic;
    match kafka::look(&config.kafka, needs_of_kafka(config)).await {
        Err(error @ PreflightError::Unreachable(_)) => report.bad(
            "kafka",
            &format!(
                "{error} (are kafka.brokers right, and do their advertised listeners lead back to them?)"
            ),
        ),
        Err(PreflightError::Refused(finding) | PreflightError::NoTopic(finding)) => {
            report.bad("kafka", &format!("{} ({})", finding.fault, finding.remedy));
        }
        Ok(None) if config.kafka.create_topic => {
            report.good("kafka", &format!("answers; serve will make the topic {topic}"));
        }
        Ok(None) => report.bad(
            "kafka",
            &format!("the topic {topic} does not exist (make it, or set kafka.create_topic = true)"),
        ),
        Ok(Some(found)) => {
            report.good(
                "kafka",
                &format!("answers; topic {topic} has {} partitions", found.partitions),
            );
            for finding in found.findings {
                report.bad(
                    "kafka topic",
                    &format!("{topic}: {} ({})", finding.fault, finding.remedy),
                );
            }
        }
    }
}

async fn check_postgres(config: &Config, is_running: bool, report: &mut Report) {
    let needs_one = config.roles.contains(&Role::Capture) || !config.kafka.is_used();
    if !config.postgres.is_external() && !needs_one {
        return report.good("postgres", "none is needed, this host does not run capture");
    }
    if !config.postgres.is_external() && !is_running {
        let cluster = config.data_dir.join("postgres").join("cluster");
        let made_by = std::fs::read_to_string(cluster.join("PG_VERSION"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        match find(config.postgres.bin_dir.as_deref(), &cluster, made_by) {
            Ok(found) => report.good("postgres", &format!("embedded, {} is installed", found.version)),
            Err(error) => report.bad("postgres", &error),
        }
        if let Err(error) = check_access(&config.data_dir).await {
            report.bad("postgres", &error);
        }
        return;
    }
    let databases = match databases(config) {
        Ok(databases) => databases,
        Err(error) => return report.bad("postgres", &format!("{error:#}")),
    };
    for (name, connection) in [("event store", databases.events), ("user views", databases.views)] {
        match open(&connection).await {
            Ok(_) if !config.postgres.is_external() => report.good(name, "answers"),
            Ok(_) => {
                let mode = connection.tls().mode().as_str();
                report.good(name, &format!("answers, with sslmode {mode}"));
            }
            Err(error) => report.bad(name, &format!("{error:#}")),
        }
    }
}

/// A hint or a note stands below what it belongs to.
fn below(text: &str) -> String {
    text.replace("\n\n", "\n         ")
}

/// What was checked.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    problems: usize,
}

impl Report {
    fn good(&mut self, what: &str, detail: &str) {
        let detail = below(detail);
        self.lines.push(format!("ok       {what}: {detail}"));
    }

    fn bad(&mut self, what: &str, reason: &impl Display) {
        self.problems += 1;
        let reason = below(&reason.to_string());
        self.lines.push(format!("PROBLEM  {what}: {reason}"));
    }

    fn finish(self) -> anyhow::Result<ExitCode> {
        for line in &self.lines {
            output::line(line)?;
        }
        Ok(if self.problems == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(PROBLEM)
        })
    }
}
