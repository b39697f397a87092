//! Kafka's own tools, and the JVM that runs them and the brokers.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use momsflow::config;

use super::broker::PATIENCE;
use crate::place::Place;
use crate::serve::watch;

/// Where the jars are; `None` without them or without Java.
pub fn libraries() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.cache/kafka");
    let has_java = Command::new("java")
        .arg("-version")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    (has_java && folder.join(".installed").exists()).then(|| folder.join("libs"))
}

/// A JVM on Kafka's jars that is small, and quick to start.
fn java(class: &str) -> Option<Command> {
    java_at(&Place::default(), class)
}

/// The same at a place.
pub fn java_at(place: &Place, class: &str) -> Option<Command> {
    let libraries = libraries()?;
    let archive = libraries.with_file_name("classes.jsa");
    let mut command = place.command("java");
    command.args([
        "-Xms64m",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    ]);
    if archive.exists() {
        // What the JVM says of one that is not of its own version would be in the tools' output.
        command.arg("-Xlog:disable");
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    command.arg("-cp").arg(libraries.join("*")).arg(class);
    Some(command)
}

/// Runs one of Kafka's own tools to its end with this standard input; gives what it printed. It is killed with this
/// process's watchdog where it hangs, since its folder goes.
pub async fn tool(class: &str, arguments: &[&str], input: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut watchdog = watch(folder.path());
    let mut command = java(class).expect("Kafka's tools are there when a broker is");
    command.args(arguments).current_dir(folder.path());
    let input = input.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    });
    let output = tokio::time::timeout(PATIENCE, ran).await.unwrap().unwrap();
    drop(watchdog.stdin.take());
    let _ = watchdog.wait();
    assert!(output.status.success(), "{class}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs Kafka's TopicCommand.
pub async fn topics(broker: &str, arguments: &[&str]) -> String {
    let arguments = [&["--bootstrap-server", broker], arguments].concat();
    tool("org.apache.kafka.tools.TopicCommand", &arguments, "").await
}

/// Deletes a partition's records before an offset, as a retention would.
pub async fn delete_records(broker: &str, topic: &str, partition: i32, offset: i64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offsets.json");
    let text = format!(
        r#"{{"version": 1, "partitions": [{{"topic": "{topic}", "partition": {partition}, "offset": {offset}}}]}}"#
    );
    std::fs::write(&file, text).unwrap();
    let arguments = [
        "--bootstrap-server",
        broker,
        "--offset-json-file",
        file.to_str().unwrap(),
    ];
    tool("org.apache.kafka.tools.DeleteRecordsCommand", &arguments, "").await;
}

/// Writes lines with Kafka's console producer; `properties` are those of its line reader.
pub async fn console_produce(config: &config::Kafka, properties: &[&str], lines: &str) {
    let mut arguments = vec!["--bootstrap-server", &config.brokers[0], "--topic", &config.topic];
    for property in properties {
        arguments.extend(["--reader-property", property]);
    }
    tool("org.apache.kafka.tools.ConsoleProducer", &arguments, lines).await;
}
