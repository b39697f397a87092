//! The main job on real input: 18 months of orders, sent by an unmodified Segment SDK, found in SQL to the cent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::serve::{Serve, run};

const CONFIG: &str = r#"
[[sources]]
name = "shop"
key = "shop-key"
trusted = true
may_backdate = true
"#;
const ORDERS: i64 = 69_659;
const CUSTOMERS: i64 = 23_570;

/// The sums of a month, or of all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    orders: i64,
    customers: i64,
    units: i64,
    cents: i64,
}

/// A file that the tests' set-up provides.
pub fn provided(path: impl AsRef<Path>) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let known = path.display();
    assert!(
        path.exists(),
        "{known} is missing: `make test` fetches it, or `scripts/setup.sh test`"
    );
    path
}

fn python() -> PathBuf {
    match std::env::var_os("MOMSFLOW_TEST_PYTHON") {
        Some(python) => python.into(),
        None => provided("tests/.cache/venv/bin/python"),
    }
}

/// Sums by month, and of all under the name `all`, computed from the file itself.
fn sums_of(file: &Path) -> BTreeMap<String, Sums> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let mut customers: BTreeSet<(String, &str)> = BTreeSet::new();
    for line in text.lines().skip(1) {
        let [customer, day, units, dollars] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("not an order: {line}");
        };
        let (whole, cents) = dollars.split_once('.').unwrap();
        assert_eq!(cents.len(), 2, "{line}");
        for period in [format!("{}-{}", &day[..4], &day[4..6]), "all".to_owned()] {
            let sums = sums.entry(period.clone()).or_default();
            sums.orders += 1;
            sums.customers += i64::from(customers.insert((period, customer)));
            sums.units += units.parse::<i64>().unwrap();
            sums.cents += format!("{whole}{cents}").parse::<i64>().unwrap();
        }
    }
    sums
}

/// The same sums, as the event store has them.
async fn sums_in_sql(serve: &Serve) -> BTreeMap<String, Sums> {
    let query = "
        SELECT coalesce(to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM'), 'all') AS period,
               count(*) AS orders,
               count(DISTINCT user_id) AS customers,
               sum((properties->>'units')::bigint)::bigint AS units,
               (sum((properties->>'total')::numeric) * 100)::text AS cents
        FROM events
        WHERE event = 'Order Completed' AND source = 'shop' AND occurred_at = received_at
        GROUP BY GROUPING SETS ((to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM')), ())";
    let rows = serve.sql().await.query(query, &[]).await.unwrap();
    let sums = rows.iter().map(|row| {
        let cents: String = row.get("cents");
        let (whole, fraction) = cents.split_once('.').unwrap_or((&cents, ""));
        assert!(
            fraction.bytes().all(|digit| digit == b'0'),
            "a part of a cent: {cents}"
        );
        let sums = Sums {
            orders: row.get("orders"),
            customers: row.get("customers"),
            units: row.get("units"),
            cents: whole.parse().unwrap(),
        };
        (row.get("period"), sums)
    });
    sums.collect()
}

async fn send(serve: &Serve, file: &Path) {
    let mut sender = Command::new(python());
    sender
        .arg(provided("tests/cdnow/send.py"))
        .arg(file)
        .arg(serve.url(""))
        .arg("shop-key")
        .current_dir(serve.folder());
    let sent = run(sender).await.expect(0);
    assert_eq!(sent.trim(), ORDERS.to_string());
    serve.settle().await;
}

#[tokio::test]
async fn every_order_of_cdnow_is_stored_once_however_often_it_is_sent() {
    let file = provided("tests/.cache/CDNOW_master.txt");
    let expected = sums_of(&file);
    assert_eq!(expected["all"].orders, ORDERS);
    assert_eq!(expected["all"].customers, CUSTOMERS);
    assert_eq!(expected.len(), 18 + 1);

    let mut serve = Serve::start(CONFIG).await;
    send(&serve, &file).await;
    assert_eq!(sums_in_sql(&serve).await, expected);

    send(&serve, &file).await;
    assert_eq!(sums_in_sql(&serve).await, expected);
    for (what, query, count) in [
        ("rows", "SELECT count(*) FROM all_events", ORDERS),
        ("ids", "SELECT count(DISTINCT event_id) FROM all_events", ORDERS),
        ("stored", "SELECT sum(stored) FROM positions", ORDERS),
        ("duplicates", "SELECT sum(duplicate) FROM positions", ORDERS),
        ("conflicts", "SELECT sum(conflict) FROM positions", 0),
        ("dead letters", "SELECT count(*) FROM dead_letters", 0),
        ("the rollup", "SELECT sum(events) FROM event_minutes", ORDERS),
    ] {
        assert_eq!(serve.value(query).await, count.to_string(), "{what}");
    }
    serve.stop().await;
}
