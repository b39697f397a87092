use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::{error, info, warn};

use super::PROBLEM;
use crate::app::{Addresses, App};
use crate::config::Config;
use crate::lifecycle::{Stop, stop_signal};
use crate::telemetry;

/// Runs until it is told to stop.
pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::start_logging(&config.log);
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(serve(config))?;
    // What is still running was named when its deadline passed.
    runtime.shutdown_background();
    Ok(code)
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let env: HashMap<String, String> = std::env::vars().collect();
    let signal = async {
        if let Err(error) = stop_signal().await {
            error!(%error, "signals cannot be received");
        }
    };
    tokio::pin!(signal);
    let Some(app) = App::start(config, &env, &mut signal).await? else {
        info!("stopped before all was up");
        return Ok(ExitCode::SUCCESS);
    };
    welcome(&app.addresses);
    let (why, in_time) = app.run(signal).await;
    match why {
        Stop::Requested if in_time => {
            info!("stopped, nothing was left behind");
            Ok(ExitCode::SUCCESS)
        }
        Stop::Requested => Ok(ExitCode::from(PROBLEM)),
        Stop::Died { task, reason } => {
            error!(task, reason, "a task died, so that momsflow stops");
            Ok(ExitCode::from(PROBLEM))
        }
    }
}

/// Each connection takes a file: what the system allows without being asked is often 1,024.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// Tells a person what to do next.
fn welcome(addresses: &Addresses) {
    let me =
        std::env::current_exe().map_or_else(|_| "momsflow".to_owned(), |path| path.display().to_string());
    let data_dir = addresses.data_dir.display();
    let mut text = String::from("\nmomsflow serves. Stop it with Ctrl-C.\n\n");
    if let Some(http) = addresses.http {
        text += &format!("  events in    http://{http}\n");
    }
    text += &format!("  metrics      http://{}/metrics\n", addresses.admin);
    if let (Some(http), Some(file)) = (addresses.http, &addresses.write_key_file) {
        text += &format!("  write key    {}\n", file.display());
        text += &format!(
            "\nSend an event:\n\n  curl -u \"$(cat '{}'):\" http://{http}/v1/track -H 'content-type: application/json' \\\n    \
             -d '{{\"userId\": \"u-1\", \"event\": \"Article Viewed\", \"properties\": {{\"content_id\": \"a-1\"}}}}'\n",
            file.display()
        );
    }
    if addresses.write_key_file.is_some() && addresses.http.is_some() {
        text += &format!(
            "\nOr have 90 days of a content platform's traffic (demo remove takes it out again):\n\n  \
             {me} demo --days 90 --data-dir '{data_dir}'\n"
        );
    }
    text += &format!(
        "\nSee it in SQL, and what runs:\n\n  {me} psql --data-dir '{data_dir}' -- -c 'select received_at, type, event, user_id from events'\n  \
         {me} status --data-dir '{data_dir}'\n"
    );
    // A closed standard output is no reason not to serve.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
