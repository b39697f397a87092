//! Traffic of the platform that [`crate::demo`] makes up, sent over HTTP like any client's.

mod feed;
mod plan;
mod post;
mod progress;
mod remove;
mod report;
mod source;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use self::feed::Fed;
use self::plan::Plan;
use self::report::Stored;
use super::databases::open_events;
use super::import::meter::Meter;
use super::import::send::settle;
use crate::cli::{Demo, DemoAction, DemoRun};
use crate::config::Config;
use crate::control::client::Client as Control;
use crate::control::demo::DEMO_SOURCE;
use crate::demo::{Stream, Truth};
use crate::store::removal;

/// What a shell says of a command that SIGINT ended.
const INTERRUPTED: u8 = 130;

pub(super) async fn run(config: Config, arguments: Demo) -> anyhow::Result<ExitCode> {
    match arguments.action {
        Some(DemoAction::Remove(arguments)) => remove::run(&config, &arguments).await,
        None => send(&config, &arguments.run).await,
    }
}

async fn send(config: &Config, arguments: &DemoRun) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(arguments, config.ingest.backdate_from)?;
    // Before minutes of work that could not be kept.
    let truth_file = arguments.truth.as_ref().map(|path| {
        File::create(path).with_context(|| format!("cannot write the truth into {}", path.display()))
    });
    let truth_file = truth_file.transpose()?;
    let mut stream = Stream::new(plan.settings.clone());
    if arguments.print {
        feed::print(&mut stream)?;
        return keep(&stream.truth(), truth_file).map(|()| ExitCode::SUCCESS);
    }
    let control = Control::new(&config.data_dir);
    let source = source::ask(config, &control).await?;
    let Fed {
        fault,
        interrupted,
        took,
    } = feed::feed(&plan, &mut stream, source).await?;
    let truth = stream.truth();
    keep(&truth, truth_file)?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let mut meter = Meter::new(0, "event");
    settle(&control, &mut meter).await?;
    meter.finish();
    let client = open_events(config).await?;
    let (first, last) = stream.ids();
    let stored = Stored {
        of_this: removal::count_between(&client, DEMO_SOURCE, first, last).await?,
        of_others: removal::count_of_others(&client, DEMO_SOURCE).await?,
    };
    let code = report::report(&truth, &plan, stored, took, arguments.output)?;
    Ok(if interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        code
    })
}

fn keep(truth: &Truth, file: Option<File>) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, truth)?;
    file.write_all(b"\n")?;
    Ok(file.flush()?)
}
