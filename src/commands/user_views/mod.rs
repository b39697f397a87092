mod explain;

use std::io::IsTerminal;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::PROBLEM;
use super::databases::databases;
use super::output::{self, line, printable};
use crate::cli::UserViews as Action;
use crate::clock::Clock;
use crate::config::Config;
use crate::roles::user_views::{Done, Progress, UserViews};
use crate::store::pool;
use crate::views::Zone;

pub(super) async fn run(config: Config, action: Action) -> anyhow::Result<ExitCode> {
    let databases = databases(&config)?;
    let views = UserViews {
        events: pool::connect(databases.events, 1),
        views: pool::connect(databases.views, 1),
        clock: Clock::system(),
        zone: Zone::named(&config.timezone)?,
        zone_name: config.timezone.clone(),
        max_batch: config.views.max_batch,
    };
    let token = CancellationToken::new();
    match action {
        Action::Run(output) => told(&views.run(&token).await?, output.json),
        Action::Rebuild(output) => {
            let bar = Bar::new("making all views anew");
            let done = views.rebuild(&token, |progress| bar.show(progress)).await?;
            bar.finish();
            told(&done, output.json)
        }
        Action::Verify(output) => {
            let bar = Bar::new("making all views anew to compare");
            let (done, differences) = views.verify(&token, |progress| bar.show(progress)).await?;
            bar.finish();
            if output.json {
                let tables: Vec<_> = differences
                    .iter()
                    .map(|difference| json!({ "table": difference.table, "rows": difference.rows }))
                    .collect();
                output::json(&json!({ "events": done.rows_read, "differences": tables }))?;
            } else if differences.is_empty() {
                line(&format!("{} events come to what the views say", done.rows_read))?;
            } else {
                line("The views are not what the events come to:")?;
                for difference in &differences {
                    line(&format!("  {}: {} rows", difference.table, difference.rows))?;
                }
                line(
                    "\nhint: momsflow user-views rebuild makes them anew; please report how this came about",
                )?;
            }
            Ok(match differences.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(PROBLEM),
            })
        }
        Action::Explain(arguments) => explain::run(&views, &arguments.person).await,
    }
}

fn told(done: &Done, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        output::json(&json!({
            "events": done.rows_read,
            "people": done.people_touched,
            "rows_changed": done.rows_changed,
            "unknown_events": done.unknown_events,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    line(&format!(
        "{} events read, {} people looked at, {} rows changed",
        done.rows_read, done.people_touched, done.rows_changed
    ))?;
    if !done.unknown_events.is_empty() {
        let names: Vec<_> = done.unknown_events.iter().map(|name| printable(name)).collect();
        line(&format!(
            "These events are not in the vocabulary and count as activity only: {}",
            names.join(", ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How far it is, on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(what: &str) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len} events, {eta}");
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_message(what.to_owned());
        Self(bar)
    }

    fn show(&self, progress: Progress) {
        self.0.set_length(progress.of.unsigned_abs());
        self.0.set_position(progress.events.unsigned_abs());
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
