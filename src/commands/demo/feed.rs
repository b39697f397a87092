//! Sends a stream: a history as fast as it is taken, a live run as its time comes.

use std::io::Write as _;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::plan::Plan;
use super::post::Poster;
use super::progress::Progress;
use super::source::Source;
use crate::clock::Clock;
use crate::demo::{Pace, Stream};
use crate::lifecycle::stop_signal;

const BATCH_EVENTS: usize = 500;
/// Batches that are on their way at once.
const IN_FLIGHT: usize = 4;
/// How long the batches on their way may take after Ctrl-C.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How often a live run looks for what is due, at the least.
const TICK: Duration = Duration::from_millis(200);

/// How it went.
pub(super) struct Fed {
    /// Why not all that was made is stored.
    pub(super) fault: Option<anyhow::Error>,
    pub(super) interrupted: bool,
    pub(super) took: Duration,
}

/// A stream on its way.
struct Feed<'a> {
    stream: &'a mut Stream,
    poster: &'a Poster,
    on_way: FuturesUnordered<LocalBoxFuture<'a, anyhow::Result<()>>>,
    progress: Rc<Progress>,
    start: i64,
    /// Written so far, copies too.
    events: u64,
    most: u64,
}

/// Sends all of a stream, or what is made of it until somebody stops it.
pub(super) async fn feed(plan: &Plan, stream: &mut Stream, source: Source) -> anyhow::Result<Fed> {
    let began = Instant::now();
    let is_history = plan.settings.pace == Pace::History;
    let length = is_history.then(|| u64::from(plan.settings.days) * 24 * 3_600_000);
    let progress = Rc::new(Progress::new(length));
    // Of a source that may back-date, import is history however recent it is.
    let path = if is_history { "/v1/import" } else { "/v1/batch" };
    let poster = Poster::new(source, path, progress.clone());
    let mut feed = Feed {
        stream,
        poster: &poster,
        on_way: FuturesUnordered::new(),
        progress: progress.clone(),
        start: plan.settings.start.as_millisecond(),
        events: 0,
        most: plan.most.unwrap_or(u64::MAX),
    };
    let mut stop = pin!(stop_signal());
    let outcome = tokio::select! {
        outcome = async { if is_history { feed.history().await } else { feed.live().await } } => Some(outcome),
        _ = &mut stop => None,
    };
    let interrupted = outcome.is_none();
    let fault = match outcome {
        Some(outcome) => outcome.err(),
        None => match tokio::time::timeout(LAST_WORDS, feed.land(0)).await {
            Ok(landed) => landed.err(),
            Err(_) => Some(anyhow::anyhow!(
                "interrupted while serve took nothing: the last events are not stored"
            )),
        },
    };
    progress.finish();
    Ok(Fed {
        fault,
        interrupted,
        took: began.elapsed(),
    })
}

impl Feed<'_> {
    async fn history(&mut self) -> anyhow::Result<()> {
        while let Some(batch) = self.batch(i64::MAX) {
            self.launch(batch);
            self.land(IN_FLIGHT - 1).await?;
        }
        self.land(0).await
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        let clock = Clock::system();
        while self.events < self.most {
            let now = clock.now().as_millisecond();
            let Some(due) = self.stream.due() else { break };
            if let Some(batch) = self.batch(now) {
                self.launch(batch);
                self.land(IN_FLIGHT - 1).await?;
                continue;
            }
            let wait = Duration::from_millis((due - now).max(1).unsigned_abs()).min(TICK);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                Some(landed) = self.on_way.next() => landed?,
            }
        }
        self.land(0).await
    }

    /// The next batch of what is due by then; `None` where nothing is.
    fn batch(&mut self, until: i64) -> Option<Bytes> {
        let mut text = String::with_capacity(BATCH_EVENTS * 1_024);
        text.push_str("{\"batch\":[");
        let mut events = 0;
        let mut place = self.start;
        while events < BATCH_EVENTS && self.events < self.most {
            match self.stream.due() {
                Some(due) if due <= until => place = due,
                _ => break,
            }
            if events > 0 {
                text.push(',');
            }
            if self.stream.write_next(&mut text).is_none() {
                break;
            }
            events += 1;
            self.events += 1;
        }
        if events == 0 {
            return None;
        }
        text.push_str("]}");
        let place = (place - self.start).max(0).unsigned_abs();
        self.progress.reach(place, self.events);
        Some(text.into())
    }

    fn launch(&mut self, batch: Bytes) {
        self.on_way.push(Box::pin(self.poster.deliver(batch)));
    }

    /// Waits until no more than so many batches are on their way.
    async fn land(&mut self, most: usize) -> anyhow::Result<()> {
        while self.on_way.len() > most
            && let Some(landed) = self.on_way.next().await
        {
            landed?;
        }
        Ok(())
    }
}

/// Prints a stream, an event a line.
pub(super) fn print(stream: &mut Stream) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut line = String::new();
    while stream.write_next(&mut line).is_some() {
        line.push('\n');
        match out.write_all(line.as_bytes()) {
            // A reader that has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            written => written?,
        }
        line.clear();
    }
    Ok(out.flush()?)
}
