//! Users that may not do all that they should.

use std::time::Duration;

use kafka_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use kafka_protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use kafka_protocol::protocol::StrBytes;
use momsflow::broker::EventLog;
use momsflow::broker::kafka::{KafkaLog, Needs, look, prepare};
use momsflow::clock::Clock;
use momsflow::config;
use serde_json::json;

use super::listeners::{PASSWORD, USER, secured};
use super::{toml, user};
use crate::kafka::MAX_EVENT;
use crate::kafka::broker::topic_on;
use crate::kafka::call::call;
use crate::kafka::load::track;
use crate::serve::{Serve, until};

const TOPIC: i8 = 2;
const LITERAL: i8 = 3;
const ALLOW: i8 = 3;
/// Kafka's numbers of operations.
const ALL: i8 = 2;
const WRITE: i8 = 4;
const DESCRIBE: i8 = 8;
const DESCRIBE_CONFIGS: i8 = 10;

async fn allow(broker: &str, topic: &str, user: &str, operation: i8) {
    let rule = AclCreation::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_resource_pattern_type(LITERAL)
        .with_principal(StrBytes::from_string(format!("User:{user}")))
        .with_host(StrBytes::from_static_str("*"))
        .with_operation(operation)
        .with_permission_type(ALLOW);
    let request = CreateAclsRequest::default().with_creations(vec![rule]);
    let answer = call(broker, &request, 3).await;
    assert_eq!(answer.results[0].error_code, 0, "{answer:?}");
}

async fn forbid(broker: &str, topic: &str, user: &str, operation: i8) {
    let rule = DeleteAclsFilter::default()
        .with_resource_type_filter(TOPIC)
        .with_resource_name_filter(Some(StrBytes::from_string(topic.to_owned())))
        .with_pattern_type_filter(LITERAL)
        .with_principal_filter(Some(StrBytes::from_string(format!("User:{user}"))))
        .with_host_filter(None)
        .with_operation(operation)
        .with_permission_type(ALLOW);
    let request = DeleteAclsRequest::default().with_filters(vec![rule]);
    let answer = call(broker, &request, 3).await;
    assert_eq!(answer.filter_results[0].matching_acls.len(), 1, "{answer:?}");
}

async fn faults(config: &config::Kafka, needs: Needs) -> Vec<String> {
    let found = look(config, needs).await.unwrap().unwrap();
    let found = found.findings.into_iter();
    found
        .map(|finding| format!("{}; {}", finding.fault, finding.remedy))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_lacking_is_named_and_one_that_is_taken_away_costs_no_event() {
    let Some(secured) = secured() else { return };
    let plain = secured.address("PLAINTEXT");
    let kafka = topic_on(&plain);
    let (topic, needs) = (&kafka.topic, Needs::all(MAX_EVENT));
    let log = KafkaLog::open(&kafka, &prepare(&kafka, needs).await.unwrap(), &Clock::system()).unwrap();
    allow(&plain, topic, "ANONYMOUS", ALL).await;
    for operation in [DESCRIBE, DESCRIBE_CONFIGS] {
        allow(&plain, topic, USER, operation).await;
    }

    let section = user("scram-sha-512", &format!("password = \"{PASSWORD}\""));
    let config = toml(&secured.address("SASLPLAIN"), &section);
    let mut value: toml::Table = config.parse().unwrap();
    value["kafka"]["topic"] = topic.clone().into();
    let config = value.to_string();
    let theirs: config::Kafka = value["kafka"].clone().try_into().unwrap();
    let may_not = format!("reader may not write to the topic {topic}; allow reader Write on it");
    until("the rules are in force", async || {
        faults(&theirs, needs).await != [""; 0]
    })
    .await;
    for (appends, fetches, fault) in [
        (true, false, may_not.clone()),
        (
            false,
            true,
            format!("reader may not read the topic {topic}; allow reader Read on it"),
        ),
        (
            true,
            true,
            format!("reader may not write to nor read the topic {topic}; allow reader Write and Read on it"),
        ),
    ] {
        let needs = Needs {
            appends,
            fetches,
            ..needs
        };
        assert_eq!(faults(&theirs, needs).await, [fault]);
    }

    let writes = Needs {
        fetches: false,
        ..needs
    };
    allow(&plain, topic, USER, WRITE).await;
    until("it may write", async || faults(&theirs, writes).await.is_empty()).await;
    let mut ingest = Serve::start(&format!("roles = [\"ingest\"]\n{config}")).await;
    let send = async |name: &str| {
        let (status, answer) = ingest.post("/v1/track", &track(name)).await;
        assert_eq!(status, 200, "{answer}");
        answer["durability"] == "spooled"
    };
    // A first append that takes too long is spooled.
    until("it is logged", async || !send("logged").await).await;

    forbid(&plain, topic, USER, WRITE).await;
    until("it is spooled", async || send("spooled").await).await;
    let spool = ingest.status().await["spool"].take();
    assert!(spool["records"].as_u64() > Some(0), "{spool}");
    until("status says why", async || {
        ingest
            .cli(&["status"])
            .await
            .stdout
            .contains("allow reader Write on it")
            || ingest
                .cli(&["status"])
                .await
                .stdout
                .contains("allow it Write on it")
    })
    .await;

    allow(&plain, topic, USER, WRITE).await;
    until("the spool is empty", async || {
        ingest.status().await["spool"]["records"] == json!(0)
    })
    .await;
    let mut values = String::new();
    for partition in 0..log.partitions() {
        let records = log.fetch(partition, 0, 1_000_000, Duration::ZERO).await.unwrap();
        values.extend(
            records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.value).into_owned()),
        );
    }
    assert!(
        values.contains("\"logged\"") && values.contains("\"spooled\""),
        "{values}"
    );
    ingest.stop().await;
}
