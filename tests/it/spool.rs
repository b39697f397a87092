//! The spool before a log that refuses, hangs and comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use momsflow::broker::fake::{FakeLog, Outcome};
use momsflow::broker::intake::{Durability, Intake};
use momsflow::broker::spool::Spool;
use momsflow::broker::{EventLog, LogError, Record};
use momsflow::clock::Clock;
use momsflow::config;
use tokio::sync::watch;

use crate::serve::until;

fn config() -> config::Spool {
    config::Spool {
        min_free_disk: ByteSize::b(0),
        ..config::Spool::default()
    }
}

/// Marks what went through the spool.
fn mark(value: Bytes) -> Bytes {
    [b"spooled ", &*value].concat().into()
}

async fn open(folder: &Path, config: &config::Spool) -> Arc<Spool> {
    Spool::open(folder, config, Clock::system(), mark).await.unwrap()
}

fn record(value: impl Into<Bytes>) -> Record {
    Record {
        key: "person".into(),
        value: value.into(),
    }
}

fn refusals(number: usize) -> Vec<Outcome> {
    vec![Outcome::Reject(LogError::Unavailable("leaderless".to_owned())); number]
}

fn values(log: &FakeLog) -> Vec<Bytes> {
    let records = (0..log.partitions()).flat_map(|partition| log.records(partition));
    records.map(|record| record.value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_refuses_is_spooled_and_replayed_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), &config()).await;
    let log = FakeLog::new(3, Clock::system());
    let known = watch::Sender::new(Some(log.clone() as Arc<dyn EventLog>));
    let intake = Intake::new(known.subscribe(), Some(spool.clone()));
    let append = async |value: &'static str| intake.append(vec![record(value)]).await.unwrap();

    assert_eq!(append("logged").await, Durability::Logged);
    log.script_appends(refusals(1));
    for value in ["a", "b", "c"] {
        assert_eq!(append(value).await, Durability::Spooled);
    }
    let status = spool.status().await;
    assert_eq!(status.records, 3);
    assert!(status.oldest.is_some() && status.reason.unwrap().contains("leaderless"));
    assert_eq!(intake.health(), Ok(()), "the spool takes what comes");

    log.script_appends(refusals(2));
    let replaying = tokio::spawn({
        let (spool, known) = (spool.clone(), known.subscribe());
        async move { spool.keep_replaying(known).await }
    });
    until("the spool is empty", async || spool.status().await.records == 0).await;
    assert!(!spool.stands_in());
    assert_eq!(values(&log), ["logged", "spooled a", "spooled b", "spooled c"]);
    assert_eq!(spool.status().await.oldest, None);
    assert_eq!(append("live").await, Durability::Logged);
    until("the disk space is given back", async || {
        spool.status().await.bytes < 256
    })
    .await;
    replaying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_answer_is_lost_is_in_the_log_twice_and_never_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), &config()).await;
    let log = FakeLog::new(1, Clock::system());
    let known = watch::Sender::new(Some(log.clone() as Arc<dyn EventLog>));
    let intake = Intake::new(known.subscribe(), Some(spool.clone()));
    // The second one is cancelled by the intake, which waits no longer, and lands all the same.
    log.script_appends([Outcome::LoseAnswer]);
    assert_eq!(
        intake.append(vec![record("a")]).await.unwrap(),
        Durability::Spooled
    );
    let replaying = Replaying::start(&spool, &log);
    until("the spool is empty", async || spool.status().await.records == 0).await;
    drop(replaying);
    log.script_appends([Outcome::HangAfterwards]);
    assert_eq!(
        intake.append(vec![record("b")]).await.unwrap(),
        Durability::Spooled
    );
    let _replaying = Replaying::start(&spool, &log);
    until("the spool is empty", async || spool.status().await.records == 0).await;
    assert_eq!(values(&log), ["a", "spooled a", "b", "spooled b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_outlives_a_restart_and_waits_for_a_log_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let known: watch::Sender<Option<Arc<dyn EventLog>>> = watch::Sender::new(None);
    for value in ["one", "two"] {
        let spool = open(folder.path(), &config()).await;
        let intake = Intake::new(known.subscribe(), Some(spool.clone()));
        let appended = intake.append(vec![record(value)]).await.unwrap();
        assert_eq!(appended, Durability::Spooled);
        spool.close().await;
    }
    let spool = open(folder.path(), &config()).await;
    assert_eq!(spool.status().await.records, 2);
    assert!(spool.status().await.oldest.is_some());
    let replaying = tokio::spawn({
        let (spool, known) = (spool.clone(), known.subscribe());
        async move { spool.keep_replaying(known).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = FakeLog::new(1, Clock::system());
    known.send_replace(Some(log.clone()));
    until("the spool is empty", async || spool.status().await.records == 0).await;
    assert_eq!(values(&log), ["spooled one", "spooled two"]);
    replaying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_hangs_is_not_waited_for_and_a_full_spool_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Spool {
        max_size: ByteSize::kib(8),
        ..config()
    };
    let spool = open(folder.path(), &small).await;
    let log = FakeLog::new(1, Clock::system());
    log.script_appends([Outcome::Hang]);
    let intake = Intake::new(
        watch::Sender::new(Some(log as Arc<dyn EventLog>)).subscribe(),
        Some(spool.clone()),
    );
    let noise: Vec<u8> = (0..10_000).map(|_| rand::random()).collect();
    let appended = intake.append(vec![record(noise)]).await.unwrap();
    assert_eq!(appended, Durability::Spooled);
    let refused = intake.append(vec![record("x")]).await.unwrap_err().to_string();
    assert!(refused.contains("spool.max_size = 8192"), "{refused}");
    assert!(intake.health().is_err());
}

/// Replays until it is dropped.
struct Replaying(tokio::task::JoinHandle<()>);

impl Replaying {
    fn start(spool: &Arc<Spool>, log: &Arc<FakeLog>) -> Self {
        let (spool, known) = (
            spool.clone(),
            watch::Sender::new(Some(log.clone() as Arc<dyn EventLog>)),
        );
        Self(tokio::spawn(async move {
            spool.keep_replaying(known.subscribe()).await;
        }))
    }
}

impl Drop for Replaying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Spools records while there is no log.
async fn spooled(spool: &Arc<Spool>, values: impl IntoIterator<Item = String>) {
    let intake = Intake::new(watch::Sender::new(None).subscribe(), Some(spool.clone()));
    for value in values {
        intake.append(vec![record(value)]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_never_takes_is_set_aside_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), &config()).await;
    let long = "x".repeat(2000);
    let values = (0..50).map(|number| match number {
        7 | 31 => format!("{number} {long}"),
        _ => number.to_string(),
    });
    spooled(&spool, values).await;
    let log = FakeLog::new(1, Clock::system());
    log.set_longest(1000);
    let replaying = Replaying::start(&spool, &log);
    until("the rest is replayed", async || spool.status().await.records == 0).await;
    assert!(!spool.stands_in());
    drop(replaying);
    let aside = spool.status().await.set_aside.unwrap();
    assert_eq!((aside.records, aside.damaged_files), (2, 0));
    assert!(aside.reason.unwrap().contains("too long"));
    let kept: Vec<_> = std::fs::read_dir(&aside.folder).unwrap().collect();
    assert_eq!(kept.len(), 2);
    spool.close().await;

    // The topic was mended, and momsflow restarted.
    let spool = open(folder.path(), &config()).await;
    assert_eq!(spool.status().await.set_aside.unwrap().records, 2);
    log.set_longest(usize::MAX);
    let _replaying = Replaying::start(&spool, &log);
    until("they are taken", async || {
        spool.status().await.set_aside.is_none()
    })
    .await;
    let mut sent: Vec<_> = values_as_text(&log);
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 50);
    assert!(sent.contains(&format!("spooled 7 {long}")));
}

fn values_as_text(log: &FakeLog) -> Vec<String> {
    let values = values(log).into_iter();
    values
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_made_anew_overwrites_no_damaged_file_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    for kept in 1..=2 {
        let spool = open(folder.path(), &config()).await;
        spooled(&spool, (0..3).map(|number| format!("{number} {}", noise()))).await;
        damage(folder.path());
        let _replaying = Replaying::start(&spool, &FakeLog::new(1, Clock::system()));
        until("the spool is empty", async || spool.status().await.records == 0).await;
        let aside = spool.status().await.set_aside.unwrap();
        assert_eq!((aside.records, aside.damaged_files), (0, kept));
        spool.close().await;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

/// So long that the middle of a segment is in no frame's head.
fn noise() -> String {
    let letters = (0..500).map(|_| char::from(rand::random_range(b'a'..=b'z')));
    letters.collect()
}

/// Changes one byte in the middle of a spool's first segment.
fn damage(folder: &Path) {
    let segment = folder.join("00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_a_spool_costs_what_is_damaged_and_no_more() {
    for is_open in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), &config()).await;
        spooled(&spool, (0..21).map(|number| format!("{number} {}", noise()))).await;
        if is_open {
            damage(folder.path());
        } else {
            spool.close().await;
            damage(folder.path());
            spool = open(folder.path(), &config()).await;
            assert_eq!(spool.status().await.records, 21);
        }
        spooled(&spool, ["afterwards".to_owned()]).await;
        let log = FakeLog::new(1, Clock::system());
        let _replaying = Replaying::start(&spool, &log);
        until("the spool is empty", async || spool.status().await.records == 0).await;
        let sent = values_as_text(&log);
        assert_eq!(sent.len(), 21, "one of 22 is lost");
        assert_eq!(sent.last().unwrap(), "spooled afterwards");
        let aside = spool.status().await.set_aside.unwrap();
        assert_eq!((aside.records, aside.damaged_files), (0, 1));
        until("the segment is gone", async || spool.status().await.bytes < 256).await;
        let kept = std::fs::read_dir(&aside.folder).unwrap().next().unwrap().unwrap();
        assert!(
            kept.metadata().unwrap().len() > 21 * 300,
            "the damaged file is kept"
        );
        assert!(!spool.stands_in());
    }
}

/// What befalls a segment of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Head,
    HeadAndFirstFrame,
    Zeros,
    Gone,
    AnotherLogs,
}

/// Strikes a segment, and says how many records are lost by it.
fn strike(segment: &Path, blow: Blow, foreign: &Path) -> usize {
    let mut bytes = std::fs::read(segment).unwrap();
    let frames = bytes
        .windows(4)
        .filter(|window| *window == [0xff, 0xf5, 0xfa, 0xfe]);
    let frames = frames.count();
    bytes[10] ^= 0xff;
    let lost = match blow {
        Blow::Head => 0,
        Blow::HeadAndFirstFrame => {
            bytes[200] ^= 0xff;
            1
        }
        Blow::Zeros | Blow::Gone | Blow::AnotherLogs => frames,
    };
    match blow {
        Blow::Zeros => bytes.fill(0),
        Blow::AnotherLogs => bytes = std::fs::read(foreign).unwrap(),
        _ => {}
    }
    match blow {
        Blow::Gone => std::fs::remove_file(segment).unwrap(),
        _ => std::fs::write(segment, bytes).unwrap(),
    }
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_missing_or_has_no_head_does_not_keep_a_spool_from_opening() {
    let small = config::Spool {
        max_size: ByteSize::mib(1),
        ..config()
    };
    let fill = async |folder: &Path| {
        let spool = open(folder, &small).await;
        let long = || (0..20).map(|_| noise()).collect::<String>();
        // Too long to share a frame.
        spooled(&spool, (0..30).map(|number| format!("{number} {}", long()))).await;
        spool.close().await;
        let files = std::fs::read_dir(folder).unwrap();
        let mut segments: Vec<_> = files
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        assert!(segments.len() > 3, "{segments:?}");
        segments
    };
    let other = tempfile::tempdir().unwrap();
    let foreign = fill(other.path()).await.swap_remove(1);
    use Blow::{AnotherLogs, Gone, Head, HeadAndFirstFrame, Zeros};
    let cases = [
        (0, Head, 1),
        (1, Head, 1),
        (usize::MAX, Head, 1),
        (1, HeadAndFirstFrame, 1),
        (usize::MAX, HeadAndFirstFrame, 1),
        (1, Gone, 1),
        // The file, and a note of the offsets that are in none.
        (1, Zeros, 2),
        (1, AnotherLogs, 2),
    ];
    for (segment, blow, told) in cases {
        let folder = tempfile::tempdir().unwrap();
        let segments = fill(folder.path()).await;
        let lost = strike(&segments[segment.min(segments.len() - 1)], blow, &foreign);
        let case = format!("{blow:?} of segment {segment}, {lost} lost");
        // A second start finds the same as the first.
        open(folder.path(), &small).await.close().await;
        let spool = open(folder.path(), &small).await;
        assert_eq!(spool.status().await.records, 30, "{case}");
        spooled(&spool, ["afterwards".to_owned()]).await;
        let log = FakeLog::new(1, Clock::system());
        let _replaying = Replaying::start(&spool, &log);
        until("the spool is empty", async || spool.status().await.records == 0).await;
        let sent = values_as_text(&log);
        assert_eq!(sent.len(), 31 - lost, "{case}");
        assert_eq!(sent.last().unwrap(), "spooled afterwards", "{case}");
        let numbers: Vec<u32> = sent[..sent.len() - 1]
            .iter()
            .map(|value| value.split(' ').nth(1).unwrap().parse().unwrap())
            .collect();
        assert!(numbers.is_sorted(), "{case}: {numbers:?}");
        let aside = spool.status().await.set_aside.unwrap();
        assert_eq!((aside.records, aside.damaged_files), (0, told), "{case}");
        until("the segments are gone", async || spool.status().await.bytes < 256).await;
        assert!(!spool.stands_in(), "{case}");
    }
}
