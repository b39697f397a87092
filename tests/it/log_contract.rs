//! What every [`EventLog`] must do, whatever keeps it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use momsflow::broker::fake::FakeLog;
use momsflow::broker::{EventLog, LogError, OffsetRange, Record};
use momsflow::clock::Clock;

use crate::serve::PATIENCE;

const NO_WAIT: Duration = Duration::ZERO;

/// Runs the contract on an empty log of at least two partitions.
pub async fn holds_the_contract(log: Arc<dyn EventLog>) {
    assert!(log.partitions() >= 2);
    starts_empty(&*log).await;
    keeps_order_and_content(&*log).await;
    fetches_from_the_middle_and_by_bytes(&*log).await;
    refuses_what_is_out_of_range(&*log).await;
    wakes_a_waiting_fetch(log.clone()).await;
    gives_concurrent_calls_their_own_offsets(log.clone()).await;
    shows_nothing_before_it_is_acknowledged_for(log.clone()).await;
    assert_eq!(log.health(), Ok(()));
}

async fn starts_empty(log: &dyn EventLog) {
    for partition in 0..log.partitions() {
        let range = log.offsets(partition).await.unwrap();
        assert_eq!(range.earliest, range.end, "the contract is run on an empty log");
        let nothing = log.fetch(partition, range.end, 100, NO_WAIT).await.unwrap();
        assert!(nothing.is_empty());
    }
}

async fn keeps_order_and_content(log: &dyn EventLog) {
    let before = log.offsets(1).await.unwrap();
    let records = vec![
        Record {
            key: "k".into(),
            value: "first".into(),
        },
        Record {
            key: Bytes::new(),
            value: Bytes::new(),
        },
        Record {
            key: Bytes::from_static(&[0, 255]),
            value: vec![7; 300_000].into(),
        },
    ];
    let base = log.append(0, records.clone()).await.unwrap();
    let read = fetch_all(log, 0, base).await;
    let offsets: Vec<_> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [base, base + 1, base + 2]);
    for (stored, sent) in read.iter().zip(&records) {
        assert_eq!((&stored.key, &stored.value), (&sent.key, &sent.value));
        assert_eq!(stored.appended_at, momsflow::clock::truncate(stored.appended_at));
    }
    assert_eq!(log.offsets(0).await.unwrap().end, base + 3);
    assert_eq!(log.offsets(1).await.unwrap(), before, "partitions are apart");
}

async fn fetches_from_the_middle_and_by_bytes(log: &dyn EventLog) {
    let base = log.append(0, numbered(0..100)).await.unwrap();
    let few = log.fetch(0, base + 42, 1, NO_WAIT).await.unwrap();
    assert_eq!(few.first().map(|record| record.offset), Some(base + 42));
    assert_eq!(few[0].value, "42");
    let some = log.fetch(0, base + 42, 20, NO_WAIT).await.unwrap();
    assert!(some.len() >= few.len() && some.len() < 58, "{}", some.len());
    let all = log.fetch(0, base + 42, 1 << 20, NO_WAIT).await.unwrap();
    assert_eq!(all.len(), 58);
    for (place, offset) in [(0, base + 42), (30, base + 72)] {
        let appended_at = log.appended_at(0, offset).await.unwrap().unwrap();
        // Kafka keeps two times, of producing and of appending, and which is seen depends on the way of reading. On a
        // busy machine they are seconds apart.
        let differs = appended_at.duration_since(all[place].appended_at);
        assert!(differs.abs() < jiff::SignedDuration::from_mins(5), "{differs}");
    }
    assert_eq!(log.appended_at(0, base + 100).await.unwrap(), None);
}

async fn refuses_what_is_out_of_range(log: &dyn EventLog) {
    let range = log.offsets(0).await.unwrap();
    for offset in [range.earliest - 1, range.end + 1] {
        let refused = log.fetch(0, offset, 100, NO_WAIT).await;
        assert!(
            matches!(&refused, Err(LogError::OutOfRange { range: found, .. }) if *found == range),
            "{refused:?}"
        );
    }
    let unknown = log.partitions();
    assert!(log.append(unknown, numbered(0..1)).await.is_err());
    assert!(log.fetch(-1, 0, 100, NO_WAIT).await.is_err());
}

async fn wakes_a_waiting_fetch(log: Arc<dyn EventLog>) {
    let OffsetRange { end, .. } = log.offsets(1).await.unwrap();
    let start = Instant::now();
    let quiet = log.fetch(1, end, 100, Duration::from_millis(50)).await.unwrap();
    assert!(quiet.is_empty() && start.elapsed() >= Duration::from_millis(50));

    let waiter = log.clone();
    let waiting = tokio::spawn(async move { waiter.fetch(1, end, 100, PATIENCE * 4).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    log.append(0, numbered(0..1)).await.unwrap();
    log.append(1, numbered(7..8)).await.unwrap();
    // Long before it would have come back by itself.
    let woken = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert_eq!(woken.unwrap().unwrap()[0].value, "7");
}

async fn gives_concurrent_calls_their_own_offsets(log: Arc<dyn EventLog>) {
    let before = log.offsets(1).await.unwrap().end;
    let calls: Vec<_> = (0..32)
        .map(|call| {
            let log = log.clone();
            let numbers = call * 10..call * 10 + 10;
            tokio::spawn(async move { (numbers.start, log.append(1, numbered(numbers)).await.unwrap()) })
        })
        .collect();
    let mut bases = Vec::new();
    for call in calls {
        bases.push(call.await.unwrap());
    }
    let read = fetch_all(&*log, 1, before).await;
    assert_eq!(read.len(), 320);
    for (first, base) in bases {
        let at = usize::try_from(base - before).unwrap();
        let found: Vec<_> = read[at..at + 10]
            .iter()
            .map(|record| record.value.clone())
            .collect();
        let sent: Vec<_> = numbered(first..first + 10)
            .into_iter()
            .map(|record| record.value)
            .collect();
        assert_eq!(found, sent);
    }
}

/// What a reader sees is within the end that `offsets` gives afterwards, so that it cannot be lost again.
async fn shows_nothing_before_it_is_acknowledged_for(log: Arc<dyn EventLog>) {
    let mut next = log.offsets(0).await.unwrap().end;
    let target = next + 200;
    let writer = log.clone();
    let writing = tokio::spawn(async move {
        for number in 0..20 {
            writer
                .append(0, numbered(number * 10..number * 10 + 10))
                .await
                .unwrap();
        }
    });
    while next < target {
        let read = log.fetch(0, next, 100, PATIENCE).await.unwrap();
        assert!(!read.is_empty(), "the writer goes on");
        assert!(
            read.iter()
                .map(|record| record.offset)
                .eq(next..next + read.len() as i64)
        );
        next += read.len() as i64;
        assert!(log.offsets(0).await.unwrap().end >= next);
    }
    writing.await.unwrap();
}

/// Fetches until nothing comes, and checks that offsets are dense.
pub async fn fetch_all(
    log: &dyn EventLog,
    partition: i32,
    mut offset: i64,
) -> Vec<momsflow::broker::StoredRecord> {
    let mut all = Vec::new();
    loop {
        let read = log.fetch(partition, offset, 100_000, NO_WAIT).await.unwrap();
        if read.is_empty() {
            return all;
        }
        assert!(
            read.iter()
                .map(|record| record.offset)
                .eq(offset..offset + read.len() as i64)
        );
        offset += read.len() as i64;
        all.extend(read);
    }
}

fn numbered(numbers: std::ops::Range<u32>) -> Vec<Record> {
    let record = |number: u32| Record {
        key: "person".into(),
        value: number.to_string().into(),
    };
    numbers.map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_log_holds_the_contract() {
    holds_the_contract(FakeLog::new(2, Clock::system())).await;
}
