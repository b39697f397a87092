use std::process::ExitCode;

use super::output::{self, printable};
use crate::cli::Tail;
use crate::config::Config;
use crate::control::client::Client as Control;
use crate::event::Event;
use crate::event::wire::{self, WireRecord};

pub(super) async fn run(config: Config, arguments: Tail) -> anyhow::Result<ExitCode> {
    let path = format!("/tail?last={}&follow={}", arguments.last, !arguments.no_follow);
    let mut outcome = Ok(());
    Control::new(&config.data_dir)
        .lines(&path, |line| {
            outcome = show(line, &arguments);
            outcome.is_ok()
        })
        .await?;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

fn show(line: &str, arguments: &Tail) -> anyhow::Result<()> {
    let wanted = |record: &WireRecord<'_>| match record {
        WireRecord::Event(event) => matches(event, arguments),
        WireRecord::Rejection(rejection) => {
            arguments.event.is_none()
                && arguments.person.is_none()
                && arguments
                    .source
                    .as_ref()
                    .is_none_or(|source| *source == rejection.source)
        }
    };
    match wire::decode(line.as_bytes()) {
        Ok(record) if wanted(&record) => output::line(&if arguments.output.json {
            line.to_owned()
        } else {
            describe(&record)
        }),
        _ => Ok(()),
    }
}

fn matches(event: &Event<'_>, arguments: &Tail) -> bool {
    let name = event.event.as_deref().or(event.name.as_deref());
    arguments
        .source
        .as_deref()
        .is_none_or(|source| source == event.source)
        && arguments
            .event
            .as_deref()
            .is_none_or(|wanted| name == Some(wanted))
        && arguments.person.as_deref().is_none_or(|person| {
            event.user_id.as_deref() == Some(person) || event.anonymous_id.as_deref() == Some(person)
        })
}

fn describe(record: &WireRecord<'_>) -> String {
    match record {
        WireRecord::Event(event) => {
            let name = event.event.as_deref().or(event.name.as_deref()).unwrap_or("-");
            let payload = event
                .properties
                .as_ref()
                .or(event.traits.as_ref())
                .map_or("{}", |json| json.get());
            printable(&format!(
                "{:.3}  {:<8}  {:<10}  {}  {}  {payload}",
                event.received_at,
                event.kind.as_str(),
                event.source,
                event.person_key(),
                name
            ))
        }
        WireRecord::Rejection(rejection) => printable(&format!(
            "{:.3}  REJECTED  {:<10}  {} {}  {}",
            rejection.received_at,
            rejection.source,
            rejection.rejected.code,
            rejection.rejected.pointer,
            rejection.rejected.detail
        )),
    }
}
