#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use bytesize::ByteSize;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn config() -> config::EventLog {
    config::EventLog {
        partitions: 2,
        min_free_disk: ByteSize::b(0),
        ..config::EventLog::default()
    }
}

fn clock() -> Clock {
    Clock::manual(Timestamp::from_second(1_800_000_000).unwrap())
}

fn advance(clock: &Clock, hours: i64) {
    clock.set(clock.now() + SignedDuration::from_hours(hours));
}

fn record(value: impl Into<Vec<u8>>) -> Record {
    Record {
        key: "person".into(),
        value: value.into().into(),
    }
}

/// Records that do not compress, so that sizes on the disk are what they seem.
fn noise(records: usize, length: usize) -> Vec<Record> {
    let bytes = |_| (0..length).map(|_| rand::random::<u8>()).collect::<Vec<_>>();
    (0..records).map(bytes).map(record).collect()
}

fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// All values from `offset` on, fetched in small bites; their offsets are checked to be dense.
async fn values(log: &EmbeddedLog, partition: i32, mut offset: i64) -> Vec<Bytes> {
    let mut values = Vec::new();
    loop {
        let records = log.fetch(partition, offset, 1000, Duration::ZERO).await.unwrap();
        let Some(last) = records.last() else { return values };
        assert!(
            records
                .iter()
                .map(|record| record.offset)
                .eq(offset..=last.offset)
        );
        offset = last.offset + 1;
        values.extend(records.into_iter().map(|record| record.value));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_each_get_their_own_offsets_and_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), &config(), clock()).unwrap();
    let tasks: Vec<_> = (0..50u8)
        .map(|task| {
            let log = log.clone();
            let records = (0..20u8).map(|number| record([task, number])).collect();
            tokio::spawn(async move { (task, log.append(i32::from(task % 2), records).await.unwrap()) })
        })
        .collect();
    let mut bases = Vec::new();
    for task in tasks {
        bases.push(task.await.unwrap());
    }
    let all = [values(&log, 0, 0).await, values(&log, 1, 0).await];
    assert_eq!((all[0].len(), all[1].len()), (500, 500));
    for (task, base) in bases {
        let base = usize::try_from(base).unwrap();
        let expected: Vec<_> = (0..20).map(|number| Bytes::from(vec![task, number])).collect();
        assert_eq!(all[usize::from(task % 2)][base..base + 20], expected);
    }
}

#[tokio::test]
async fn identity_and_offsets_outlive_a_close_and_a_changed_config() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), &config(), clock()).unwrap();
    let second = EmbeddedLog::open(folder.path(), &config(), clock()).unwrap_err();
    assert!(second.to_string().contains("in use"), "{second}");
    log.append(1, vec![record("a"), record("b")]).await.unwrap();
    let log_id = log.log_id();
    log.close().await;
    assert!(log.append(1, vec![record("late")]).await.is_err());
    assert!(log.health().is_err());

    let other = config::EventLog {
        partitions: 7,
        ..config()
    };
    let log = EmbeddedLog::open(folder.path(), &other, clock()).unwrap();
    assert_eq!((log.log_id(), log.partitions()), (log_id, 2));
    assert_eq!(log.append(1, vec![record("c")]).await.unwrap(), 2);
    assert_eq!(values(&log, 1, 0).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn retention_spares_what_is_not_released_and_offsets_are_never_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let log = EmbeddedLog::open(folder.path(), &config(), clock.clone()).unwrap();
    log.append(0, vec![record("a"), record("b")]).await.unwrap();
    advance(&clock, 4);
    log.retain().await.unwrap();
    log.append(0, vec![record("c")]).await.unwrap();
    advance(&clock, 100);
    log.retain().await.unwrap();
    assert_eq!(log.offsets(0).await.unwrap(), OffsetRange { earliest: 0, end: 3 });

    log.release(0, 2);
    log.retain().await.unwrap();
    assert_eq!(log.offsets(0).await.unwrap(), OffsetRange { earliest: 2, end: 3 });
    let gone = log.fetch(0, 1, 100, Duration::ZERO).await;
    assert!(matches!(gone, Err(LogError::OutOfRange { offset: 1, .. })));

    log.release(0, 99);
    log.retain().await.unwrap();
    let nothing = OffsetRange { earliest: 3, end: 3 };
    assert_eq!(log.offsets(0).await.unwrap(), nothing);
    log.close().await;
    let log = EmbeddedLog::open(folder.path(), &config(), clock).unwrap();
    assert_eq!(log.offsets(0).await.unwrap(), nothing);
    assert_eq!(log.append(0, vec![record("d")]).await.unwrap(), 3);
    assert_eq!(values(&log, 0, 3).await, ["d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_space_comes_back_within_the_size_limit() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::EventLog {
        retention_size: ByteSize::mib(8),
        ..config()
    };
    let log = EmbeddedLog::open(folder.path(), &config, clock()).unwrap();
    for _ in 0..300 {
        let end = log.append(0, noise(100, 10_000)).await.unwrap() + 100;
        log.release(0, end);
    }
    let before = bytes_in(folder.path());
    assert!(before > 250_000_000, "{before}");
    log.retain().await.unwrap();
    let range = log.offsets(0).await.unwrap();
    assert!((29_000..30_000).contains(&range.earliest), "{range:?}");
    assert_eq!(
        values(&log, 0, range.earliest).await.len() as i64,
        range.end - range.earliest
    );
    let after = bytes_in(folder.path());
    assert!(after < 10 << 20, "{after} of {before}");
    log.close().await;
    let log = EmbeddedLog::open(folder.path(), &config, clock()).unwrap();
    assert_eq!(log.offsets(0).await.unwrap(), range);
}

#[tokio::test]
async fn a_disk_that_is_too_full_refuses_appends_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::EventLog {
        min_free_disk: ByteSize::pib(1),
        ..config()
    };
    let log = EmbeddedLog::open(folder.path(), &config, clock()).unwrap();
    let refused = log.append(0, vec![record("a")]).await.unwrap_err();
    assert!(matches!(&refused, LogError::Unavailable(reason)
        if reason.contains(&folder.path().display().to_string()) && reason.contains("1125899906842624")));
    assert!(log.health().is_err());
    assert_eq!(log.offsets(0).await.unwrap(), OffsetRange { earliest: 0, end: 0 });
}

#[tokio::test]
async fn a_log_that_failed_writes_again_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::EventLog {
        retention_size: ByteSize::kib(64),
        ..config()
    };
    let log = EmbeddedLog::open(folder.path(), &config, clock()).unwrap();
    log.append(0, noise(1, 70_000)).await.unwrap();
    // The next append begins a segment, in whose place there is a folder.
    let obstacle = folder.path().join("00000000000000000002.log");
    std::fs::create_dir(&obstacle).unwrap();
    let refused = log.append(0, vec![record("refused")]).await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    assert!(log.health().is_err());
    assert!(log.retain().await.is_err());
    assert_eq!(values(&log, 0, 0).await.len(), 1);

    std::fs::remove_dir(&obstacle).unwrap();
    let healthy = async {
        while log.health().is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), healthy)
        .await
        .unwrap();
    assert_eq!(log.append(0, vec![record("after")]).await.unwrap(), 1);
    assert_eq!(values(&log, 0, 1).await, ["after"]);
}

/// A log of two calls, of which the second brought 20 kB of noise; its only segment's bytes and path.
async fn two_calls(folder: &Path) -> (Vec<u8>, std::path::PathBuf) {
    let log = EmbeddedLog::open(folder, &config(), clock()).unwrap();
    log.append(0, vec![record("acknowledged")]).await.unwrap();
    log.append(0, noise(1, 20_000)).await.unwrap();
    log.close().await;
    let path = folder.join("00000000000000000001.log");
    (std::fs::read(&path).unwrap(), path)
}

#[tokio::test]
async fn a_write_that_was_interrupted_anywhere_does_not_keep_the_log_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, path) = two_calls(folder.path()).await;
    let second = whole.len() - 20_000 - 100;
    let hole = {
        let mut bytes = whole.clone();
        bytes[second + 4000..second + 8096].fill(0);
        bytes
    };
    let zeros = [&whole[..second + 5000], &[0; 50_000]].concat();
    for torn in [
        whole[..whole.len() - 1].to_vec(),
        whole[..second + 90].to_vec(),
        hole,
        zeros,
    ] {
        std::fs::write(&path, torn).unwrap();
        let log = EmbeddedLog::open(folder.path(), &config(), clock()).unwrap();
        assert_eq!(values(&log, 0, 0).await, ["acknowledged"]);
        assert_eq!(log.append(0, vec![record("next")]).await.unwrap(), 1);
        assert_eq!(values(&log, 0, 0).await, ["acknowledged", "next"]);
        log.close().await;
        let log = EmbeddedLog::open(folder.path(), &config(), clock()).unwrap();
        assert_eq!(values(&log, 0, 0).await, ["acknowledged", "next"]);
    }
    assert!(path.with_extension("torn").exists());
}

#[tokio::test]
async fn damage_to_what_was_acknowledged_is_told_and_nothing_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bytes, path) = two_calls(folder.path()).await;
    let at = bytes
        .windows(12)
        .position(|window| window == b"acknowledged")
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = EmbeddedLog::open(folder.path(), &config(), clock())
        .unwrap_err()
        .to_string();
    assert!(error.contains("000001.log is damaged at byte 64"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_missing_or_foreign_segment_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::EventLog {
        retention_size: ByteSize::kib(64),
        ..config()
    };
    let log = EmbeddedLog::open(folder.path(), &config, clock()).unwrap();
    for _ in 0..4 {
        log.append(0, noise(1, 70_000)).await.unwrap();
    }
    log.close().await;
    let file = |number: u32| folder.path().join(format!("{number:020}.log"));
    let open = || EmbeddedLog::open(folder.path(), &config, clock()).map(|_| ());
    // A last segment whose making was interrupted is none.
    std::fs::write(file(5), b"momslog").unwrap();
    open().unwrap();
    assert!(!file(5).exists());
    // One that is longer than a head has held something.
    std::fs::write(file(5), [0; 100]).unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("00005.log has no good head"), "{error}");
    std::fs::remove_file(file(5)).unwrap();

    let aside = folder.path().join("aside");
    std::fs::rename(file(2), &aside).unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("segment 2 is missing"), "{error}");
    std::fs::write(file(2), b"garbage").unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("00002.log has no good head"), "{error}");
    std::fs::rename(&aside, file(2)).unwrap();
    open().unwrap();
}

#[tokio::test]
async fn a_read_finds_its_way_through_many_segments_and_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::EventLog {
        retention_size: ByteSize::mib(16),
        ..config()
    };
    let log = EmbeddedLog::open(folder.path(), &config, clock()).unwrap();
    for round in 0..60u8 {
        log.append(0, noise(3, 30_000)).await.unwrap();
        log.append(1, vec![record([round])]).await.unwrap();
    }
    assert!(log.shared.segments().len() > 3);
    for reopened in [false, true] {
        let log = if reopened {
            log.close().await;
            EmbeddedLog::open(folder.path(), &config, clock()).unwrap()
        } else {
            log.clone()
        };
        for offset in [0, 59, 30, 7, 45, 1] {
            let read = log.fetch(1, offset, 1, Duration::ZERO).await.unwrap();
            assert_eq!((read.len(), &*read[0].value), (1, &[offset as u8][..]));
        }
        assert_eq!(values(&log, 0, 0).await.len(), 180);
        assert_eq!(values(&log, 1, 0).await.len(), 60);
    }
}

#[tokio::test]
async fn a_dropped_append_gives_its_share_of_the_queue_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), &config(), clock()).unwrap();
    for _ in 0..20 {
        let append = log.append(0, noise(1, QUEUE_BYTES / 4));
        let _ = tokio::time::timeout(Duration::from_millis(1), append).await;
    }
    log.append(1, noise(1, MAX_RECORD - 100)).await.unwrap();
    assert!(matches!(
        log.append(1, noise(1, MAX_RECORD)).await,
        Err(LogError::BadRecord(_))
    ));
    assert_eq!(log.budget.available_permits(), QUEUE_BYTES);
}

#[derive(Clone, Debug)]
enum Step {
    Append(i32, Vec<u16>),
    Fetch(i32, prop::sample::Index, usize),
    Release(i32, prop::sample::Index),
    Advance(i64),
    Retain,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..2, vec(0..2000u16, 1..20)).prop_map(|(partition, lengths)| Step::Append(partition, lengths)),
        4 => (0..2, index(), 0..5000usize).prop_map(|(p, at, bytes)| Step::Fetch(p, at, bytes)),
        3 => (0..2, index()).prop_map(|(partition, at)| Step::Release(partition, at)),
        3 => (1..20i64).prop_map(Step::Advance),
        3 => Just(Step::Retain),
        1 => Just(Step::Reopen),
    ]
}

/// What the log should hold of a partition: every value ever appended, and when.
#[derive(Default)]
struct Model {
    appended: Vec<(Bytes, Timestamp)>,
    earliest: usize,
    released: usize,
}

async fn take(step: Step, log: &mut Arc<EmbeddedLog>, models: &mut [Model; 2], clock: &Clock, folder: &Path) {
    match step {
        Step::Append(partition, lengths) => {
            let model = &mut models[partition as usize];
            let value = |length| Bytes::from(vec![model.appended.len() as u8; usize::from(length)]);
            let values: Vec<_> = lengths.into_iter().map(value).collect();
            let records = values.iter().map(|value| record(value.to_vec())).collect();
            assert_eq!(
                log.append(partition, records).await.unwrap(),
                model.appended.len() as i64
            );
            model
                .appended
                .extend(values.into_iter().map(|value| (value, clock.now())));
        }
        Step::Fetch(partition, at, max_bytes) => {
            let model = &models[partition as usize];
            let offset = at.index(model.appended.len() + 2);
            let read = log
                .fetch(partition, offset as i64, max_bytes, Duration::ZERO)
                .await;
            if offset < model.earliest || offset > model.appended.len() {
                assert!(matches!(read, Err(LogError::OutOfRange { .. })));
                return;
            }
            let read = read.unwrap();
            assert_eq!(read.is_empty(), offset == model.appended.len());
            let read_bytes: usize = read.iter().map(|record| record.value.len()).sum();
            assert!(offset + read.len() == model.appended.len() || read_bytes >= max_bytes);
            for (index, record) in (offset..).zip(read) {
                let found = (record.offset as usize, (record.value, record.appended_at));
                assert_eq!(found, (index, model.appended[index].clone()));
            }
        }
        Step::Release(partition, at) => {
            let model = &mut models[partition as usize];
            let offset = at.index(model.appended.len() + 1);
            log.release(partition, offset as i64);
            model.released = model.released.max(offset);
        }
        Step::Advance(hours) => advance(clock, hours),
        Step::Retain => log.retain().await.unwrap(),
        Step::Reopen => {
            log.close().await;
            *log = EmbeddedLog::open(folder, &config(), clock.clone()).unwrap();
            for model in models {
                model.released = model.earliest;
            }
        }
    }
}

/// What retention must and must not have done: nothing unreleased or young is gone, offsets only rise, and once
/// all is released and older than the retention and a segment's age together, it is gone after a retain.
async fn check(log: &EmbeddedLog, models: &mut [Model; 2], now: Timestamp, retained: bool) {
    let day = SignedDuration::from_hours(24);
    let is_overdue = |(_, at): &(Bytes, Timestamp)| now.duration_since(*at) > day + day;
    let is_due =
        |model: &Model| model.released == model.appended.len() && model.appended.iter().all(is_overdue);
    let all_go = retained && models.iter().all(is_due);
    for (partition, model) in (0..).zip(models) {
        let range = log.offsets(partition).await.unwrap();
        let earliest = range.earliest as usize;
        assert_eq!(range.end as usize, model.appended.len());
        assert!((model.earliest..=model.released.max(model.earliest)).contains(&earliest));
        assert!(
            model.appended[model.earliest..earliest]
                .iter()
                .all(|(_, at)| now.duration_since(*at) >= day)
        );
        if all_go {
            assert_eq!(earliest, model.appended.len());
        }
        model.earliest = earliest;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn it_behaves_like_a_vector(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let clock = clock();
            let mut models = [Model::default(), Model::default()];
            let mut log = EmbeddedLog::open(folder.path(), &config(), clock.clone()).unwrap();
            for step in steps {
                let retained = matches!(step, Step::Retain);
                take(step, &mut log, &mut models, &clock, folder.path()).await;
                check(&log, &mut models, clock.now(), retained).await;
            }
        });
    }
}
