use std::collections::BTreeMap;
use std::process::ExitCode;

use bytesize::ByteSize;
use jiff::Timestamp;
use serde_json::json;

use super::losses::{not_sent, print_gaps};
use super::output;
use super::{PROBLEM, output::printable};
use crate::broker::spool::SpoolStatus;
use crate::cli::Json;
use crate::config::Config;
use crate::control::client::Client as Control;
use crate::control::former_log::FormerLogStatus;
use crate::control::message::{LogPartition, Rates, Status};
use crate::roles::capture::{HostStatus, PartitionStatus};

pub(super) async fn run(config: Config, as_json: Json) -> anyhow::Result<ExitCode> {
    let control = Control::new(&config.data_dir);
    let mut status: Status = control.get("/status").await?;
    let rates = status.rates.take();
    if as_json.json {
        let known = |rate: fn(Rates) -> f64| rates.map(rate);
        output::json(&json!({
            "status": status,
            "rates": {
                "appended_per_second": known(|rates| rates.appended_per_second),
                "stored_per_second": known(|rates| rates.stored_per_second),
            },
        }))?;
    } else {
        print(&status, rates)?;
    }
    Ok(if has_no_problem(&status) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PROBLEM)
    })
}

/// A gap is none: nothing mends it.
fn has_no_problem(status: &Status) -> bool {
    let spool = status.spool.as_ref();
    status.faults.is_empty() && spool.is_none_or(|spool| spool.set_aside.is_none())
}

fn print(status: &Status, rates: Option<Rates>) -> anyhow::Result<()> {
    let roles: Vec<_> = status.roles.iter().map(|role| role.as_str()).collect();
    output::line(&format!(
        "momsflow {} · process {} · since {:.0} · roles {}",
        status.version,
        status.pid,
        status.started_at,
        roles.join(", ")
    ))?;
    if let Some(http) = status.http {
        output::line(&format!("http        http://{http}"))?;
    }
    if let Some(admin) = status.admin {
        output::line(&format!("admin       http://{admin}/metrics"))?;
    }
    output::line(&format!("event store {}", status.event_store))?;
    print_logs(status)?;
    if !status.capture_hosts.is_empty() {
        let hosts: Vec<_> = status.capture_hosts.iter().map(capture_host).collect();
        output::line(&format!("capture     {}", hosts.join(", ")))?;
    }
    output::line(&format!("rates       {}\n", speed(rates)))?;
    let partitions = status.log.partitions.iter();
    let rows: Vec<_> = partitions.map(|one| partition(one, status.now)).collect();
    output::table(
        &[
            "PARTITION",
            "LOG",
            "STORED UP TO",
            "LAG",
            "CAPTURE",
            "OWNER",
            "EPOCH",
            "TAKE-OVERS",
            "LAST ERROR",
        ],
        &rows,
    )?;
    if let Some(waiting) = status.dead_letters.as_ref().filter(|waiting| !waiting.is_empty()) {
        output::line(&format!("\n{}", dead_letters(waiting)))?;
    }
    for hot in &status.log.hot_keys {
        let (key, percent) = (printable(&hot.key), hot.share * 100.0);
        output::line(&format!(
            "\nhot key: {key} makes {percent:.0} % of partition {}",
            hot.partition
        ))?;
    }
    if let Some(gaps) = status.gaps.as_ref().filter(|gaps| gaps.count > 0) {
        print_gaps(gaps, status)?;
    }
    for (part, reason) in &status.faults {
        output::line(&format!("\nunhealthy: {part}: {}", printable(reason)))?;
    }
    if has_no_problem(status) {
        output::line("\nall healthy")?;
    }
    Ok(())
}

fn speed(rates: Option<Rates>) -> String {
    match rates {
        Some(rates) => format!(
            "{:.0} events/s in, {:.0} rows/s stored",
            rates.appended_per_second, rates.stored_per_second
        ),
        None => "not known yet".to_owned(),
    }
}

fn print_logs(status: &Status) -> anyhow::Result<()> {
    let log_id = status.log.log_id.map(|id| format!(" {id}")).unwrap_or_default();
    output::line(&format!("event log   {}{log_id}", status.log.kind))?;
    if let Some(spool) = &status.spool {
        output::line(&format!("spool       {}", spooled(spool, status.now)))?;
    }
    if let Some(aside) = status.spool.as_ref().and_then(|spool| spool.set_aside.as_ref()) {
        output::line(&format!("NOT SENT    {}", not_sent(aside)))?;
    }
    if let Some(former) = &status.former_log {
        output::line(&format!("former log  {}", drained(former)))?;
    }
    Ok(())
}

fn capture_host(host: &HostStatus) -> String {
    let (name, count) = (printable(&host.name), host.partitions);
    let (s, this) = (
        if count == 1 { "" } else { "s" },
        if host.is_this { ", this one" } else { "" },
    );
    format!("{name} ({count} partition{s}{this})")
}

fn partition(partition: &LogPartition, now: Timestamp) -> Vec<String> {
    let place = [
        partition.partition.to_string(),
        match (partition.earliest, partition.end) {
            (Some(earliest), Some(end)) => format!("{earliest}..{end}"),
            _ => "unknown".to_owned(),
        },
    ];
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let capture = match &partition.capture {
        Some(capture) => [
            capture.next_offset.to_string(),
            lag(capture, now),
            format!("{:?}", capture.state).to_lowercase(),
            or_none(capture.owner.as_deref().map(printable)),
            or_none(capture.epoch.map(|epoch| epoch.to_string())),
            capture.take_overs.to_string(),
            last_error(capture, now),
        ],
        None => ["-", "-", "not here", "-", "-", "-", ""].map(str::to_owned),
    };
    place.into_iter().chain(capture).collect()
}

fn spooled(spool: &SpoolStatus, now: Timestamp) -> String {
    let waiting = match spool.oldest {
        Some(oldest) => format!(
            "{} events wait, {}, the oldest for {}",
            spool.records,
            ByteSize::b(spool.bytes),
            age(oldest, now)
        ),
        None => "empty".to_owned(),
    };
    match &spool.reason {
        Some(reason) => format!("{waiting}; stands in for the event log: {}", printable(reason)),
        None => waiting,
    }
}

fn drained(former: &FormerLogStatus) -> String {
    let folder = former.folder.display();
    match &former.last_error {
        _ if former.is_drained => format!("drained, all of it is stored; {folder} may be deleted"),
        None => format!("{} records of {folder} wait to be stored", former.records),
        Some(error) => {
            let error = printable(error);
            format!(
                "{} records of {folder} wait to be stored; last error: {error}",
                former.records
            )
        }
    }
}

fn last_error(capture: &PartitionStatus, now: Timestamp) -> String {
    let Some(error) = &capture.last_error else {
        return String::new();
    };
    match capture.last_error_at {
        Some(at) => format!("{} ({} ago)", printable(error), age(at, now)),
        None => printable(error),
    }
}

fn lag(capture: &PartitionStatus, now: Timestamp) -> String {
    match capture.oldest_waiting_at {
        Some(oldest) if capture.lag > 0 => format!("{} ({})", capture.lag, age(oldest, now)),
        _ => capture.lag.to_string(),
    }
}

fn dead_letters(waiting: &BTreeMap<String, i64>) -> String {
    let total: i64 = waiting.values().sum();
    let reasons: Vec<_> = waiting
        .iter()
        .map(|(code, count)| format!("{} {count}", printable(code)))
        .collect();
    let s = if total == 1 { "" } else { "s" };
    format!("{total} dead letter{s} wait: {}", reasons.join(", "))
}

/// The time between, in its largest whole unit.
fn age(at: Timestamp, now: Timestamp) -> String {
    match now.duration_since(at).as_secs().max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_error_has_its_age() {
        let now: Timestamp = "2026-11-24T06:00:00Z".parse().unwrap();
        let mut stuck = LogPartition {
            partition: 0,
            earliest: Some(0),
            end: Some(50),
            capture: Some(PartitionStatus {
                next_offset: 20,
                lag: 30,
                oldest_waiting_at: Some("2026-11-24T05:59:20Z".parse().unwrap()),
                owner: Some("db-1:42".to_owned()),
                epoch: Some(7),
                take_overs: 1,
                last_error: Some("it\u{7} broke".to_owned()),
                last_error_at: Some("2026-11-24T05:56:30Z".parse().unwrap()),
                ..PartitionStatus::default()
            }),
        };
        let row = partition(&stuck, now);
        assert_eq!(row[2..4], ["20", "30 (40 s)"]);
        assert_eq!(row[5..8], ["db-1:42", "7", "1"]);
        assert_eq!(row[8], "it\\u{7} broke (3 min ago)");
        stuck.capture = None;
        assert_eq!(partition(&stuck, now)[3], "-");
    }
}
