//! What is said of a topic before it is used.

use momsflow::broker::kafka::{KafkaLog, Needs, PreflightError, look, prepare};
use momsflow::clock::Clock;
use momsflow::config;

use super::MAX_EVENT;
use super::broker::{shared, topic_on};
use super::console::topics;
use crate::serve::{free_address, momsflow, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_made_as_configured() {
    let Some(broker) = shared() else { return };
    let config = config::Kafka {
        partitions: 5,
        retention: std::time::Duration::from_secs(36 * 3600),
        ..topic_on(&broker)
    };
    assert!(look(&config, Needs::all(MAX_EVENT)).await.unwrap().is_none());
    let found = prepare(&config, Needs::all(MAX_EVENT)).await.unwrap();
    assert_eq!((found.partitions, found.findings.len()), (5, 0));
    let described = topics(&broker, &["--describe", "--topic", &config.topic]).await;
    for part in [
        "PartitionCount: 5",
        "cleanup.policy=delete",
        "compression.type=producer",
        "message.timestamp.type=LogAppendTime",
        "min.insync.replicas=1",
        "retention.ms=129600000",
    ] {
        assert!(described.contains(part), "{part}: {described}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_made_is_named_with_a_remedy() {
    let Some(broker) = shared() else { return };
    let not_allowed = config::Kafka {
        create_topic: false,
        ..topic_on(&broker)
    };
    let too_many_copies = config::Kafka {
        replication: 3,
        ..topic_on(&broker)
    };
    for (config, remedy) in [
        (not_allowed, "create_topic = true"),
        (too_many_copies, "kafka.replication"),
    ] {
        let needs = Needs::all(MAX_EVENT);
        // Known before a start, and by it.
        let looked = look(&config, needs).await;
        let is_known = matches!(&looked, Err(PreflightError::NoTopic(_)));
        assert!(is_known || !config.create_topic, "{looked:?}");
        match prepare(&config, needs).await {
            Err(PreflightError::NoTopic(finding)) => assert!(finding.remedy.contains(remedy), "{finding:?}"),
            other => panic!("{other:?}"),
        }
    }
    let nowhere = topic_on(&free_address().to_string());
    assert!(matches!(
        prepare(&nowhere, Needs::all(MAX_EVENT)).await,
        Err(PreflightError::Unreachable(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_refused_and_check_says_why() {
    let Some(broker) = shared() else { return };
    let config = topic_on(&broker);
    let made = [
        "--create",
        "--topic",
        &config.topic,
        "--partitions",
        "2",
        "--config",
        "cleanup.policy=compact",
        "--config",
        "message.timestamp.type=LogAppendTime",
    ];
    topics(&broker, &made).await;
    let found = prepare(&config, Needs::all(MAX_EVENT)).await.unwrap();
    let refused = KafkaLog::open(&config, &found, &Clock::system()).unwrap_err();
    assert!(refused.to_string().contains("cleanup.policy=delete"), "{refused}");

    let folder = tempfile::tempdir().unwrap();
    let mut command = momsflow();
    command
        .args(["check", "--roles", "ingest", "--data-dir"])
        .arg(folder.path())
        .env("MOMSFLOW_HTTP__LISTEN", free_address().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", free_address().to_string())
        .env("MOMSFLOW_KAFKA__BROKERS", &broker)
        .env("MOMSFLOW_KAFKA__TOPIC", &config.topic)
        .env("MOMSFLOW_KAFKA__PARTITIONS", "2")
        .env("MOMSFLOW_KAFKA__REPLICATION", "1")
        .env("MOMSFLOW_KAFKA__MIN_INSYNC_REPLICAS", "1");
    let said = run(command).await.expect(1);
    let problems: Vec<_> = said.lines().filter(|line| line.starts_with("PROBLEM")).collect();
    assert_eq!(problems.len(), 1, "{said}");
    assert!(problems[0].contains("set cleanup.policy=delete"), "{said}");
}
