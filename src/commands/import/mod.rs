//! History from a file or a pipe into a running serve: in pieces, resumable, exact at the end.
//!
//! A line without a messageId gets one made of its content, so that a line that is sent twice is stored once, also
//! from a file that was mended. How far a file came is kept in the data dir.

mod defaults;
mod faults;
mod input;
mod lines;
pub(super) mod meter;
mod preview;
mod progress;
mod report;
pub(super) mod send;
mod source;
mod verify;

use std::process::ExitCode;

use self::defaults::Defaults;
use self::input::{Input, format_of};
use self::lines::Lines;
use self::meter::Meter;
use self::progress::Progress;
use self::verify::Ids;
use super::WrongUse;
use super::databases::open_events;
use crate::cli::{Import, ImportFormat};
use crate::config::Config;
use crate::control::client::Client as Control;
use crate::control::message::ImportTerms;
use crate::event::EventKind;

/// What a shell says of a command that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// The size of a piece.
const PIECE_EVENTS: usize = 500;
const PIECE_BYTES: usize = 1024 * 1024;

/// A file and the serve that it goes to.
struct Job {
    config: Config,
    arguments: Import,
    format: ImportFormat,
    defaults: Defaults,
    input: Input,
    control: Control,
    terms: ImportTerms,
}

pub(super) async fn run(config: Config, arguments: Import) -> anyhow::Result<ExitCode> {
    let format = format_of(&arguments.file, arguments.format)?;
    let kind: EventKind = arguments.kind.parse().map_err(|()| {
        WrongUse(format!(
            "--type {}: one of track, identify, page, screen, group, alias",
            arguments.kind
        ))
    })?;
    source::check_name(&arguments.source)?;
    let control = Control::new(&config.data_dir);
    let terms: ImportTerms = control
        .get(&format!("/import?source={}", arguments.source))
        .await?;
    source::check_known(&config, &terms, &arguments).await?;
    let defaults = Defaults {
        kind,
        event: arguments.event.clone(),
    };
    let input = Input::open(&config.data_dir, &arguments.file)?;
    let job = Job {
        config,
        arguments,
        format,
        defaults,
        input,
        control,
        terms,
    };
    if job.arguments.dry_run {
        preview::dry_run(&job).await
    } else {
        tokio::select! {
            done = import(&job) => done,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("\ninterrupted; repeat the command with the same input and it goes on where it was");
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    }
}

async fn import(job: &Job) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::open(
        &job.config.data_dir,
        &job.arguments,
        job.input.id.clone(),
        job.terms.now,
    )?;
    let lines = job.open()?;
    if progress.lines == 0 && !job.arguments.keep_going {
        preview::stop_where_all_is_refused(job).await?;
    }
    let mut meter = job.meter(&lines);
    let unit = lines.unit();
    send::all(job, lines, &mut progress, &mut meter).await?;
    meter.finish();
    send::settle(&job.control, &mut meter).await?;
    let client = open_events(&job.config).await?;
    let is_rejected = |line| progress.is_rejected(line);
    let counted = verify::count(&client, job.open()?, is_rejected, job.ids(progress.began_at)).await?;
    progress.finish()?;
    report::report(&progress, counted, unit, &job.arguments)
}

impl Job {
    /// The lines, from the first on.
    fn open(&self) -> anyhow::Result<Lines> {
        Lines::new(self.input.read()?, self.format, self.defaults.clone())
    }

    fn meter(&self, lines: &Lines) -> Meter {
        Meter::new(self.input.bytes, lines.unit())
    }

    fn ids(&self, since: jiff::Timestamp) -> Ids<'_> {
        Ids {
            source: &self.arguments.source,
            trusted: self.terms.trusted,
            since,
        }
    }

    /// Where serve takes or looks at the lines.
    fn path(&self, action: &str) -> String {
        format!("/import/{action}?source={}", self.arguments.source)
    }
}
