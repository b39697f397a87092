//! The lines that README and docs print, run as they are printed but for the address.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::browser::CHROMIUM;
use super::sdk::{installed, missing, stage};
use crate::serve::{Serve, free_address, run};

/// The address that the docs print.
const PRINTED: &str = "http://127.0.0.1:8080";
const PRINTED_PAGE: &str = "http://localhost:3000";

/// A fenced block of a document.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(path).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    // The parts with odd numbers are within fences.
    for part in text.split("```").skip(1).step_by(2) {
        let (language, text) = part.split_once('\n').unwrap();
        let (language, text) = (language.to_owned(), text.to_owned());
        blocks.push(Block { language, text });
    }
    blocks
}

/// The one block in a language that holds a text.
#[track_caller]
fn block(document: &str, language: &str, with: &str) -> String {
    let mut found = blocks(document);
    found.retain(|block| block.language == language && block.text.contains(with));
    let [block] = &found[..] else {
        panic!("{document} has {} blocks in {language} with {with}", found.len());
    };
    block.text.clone()
}

/// Runs lines as a user who stands where the data dir is.
async fn shell(serve: &Serve, lines: &str, env: &[(&str, &str)]) -> String {
    let mut shell = Command::new("sh");
    let lines = lines.replace(PRINTED, &serve.url(""));
    shell.args(["-euc", &lines]).current_dir(serve.folder());
    shell.envs(env.iter().copied());
    run(shell).await.expect(0)
}

/// The first command of a program in a text, with the lines that its backslashes join.
#[track_caller]
fn command_in(text: &str, program: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| !line.starts_with(program));
    let mut command = Vec::new();
    for line in lines {
        command.push(line);
        if !line.ends_with('\\') {
            break;
        }
    }
    command.join("\n")
}

#[track_caller]
fn assert_accepted(answer: &str) {
    let answer: Value = serde_json::from_str(answer.trim()).unwrap();
    assert_eq!(answer["accepted"], 1, "{answer}");
}

#[tokio::test]
async fn the_lines_of_the_readme_work_as_printed() {
    let mut serve = Serve::start("").await;
    std::os::unix::fs::symlink(serve.data_dir(), serve.folder().join("momsflow-data")).unwrap();
    let key = serve.write_key();

    let readme = block("README.md", "sh", "curl -u");
    assert_accepted(&shell(&serve, &readme, &[]).await);
    let api = block("docs/http-api.md", "sh", "curl -u");
    assert_accepted(&shell(&serve, &api, &[("KEY", &key)]).await);
    // What serve prints when it starts holds its real address.
    assert_accepted(&shell(&serve, &command_in(&serve.printed(), "curl"), &[]).await);

    let mut expected = 3;
    if missing(&["venv/.installed"]).is_none() {
        let script = serve.folder().join("readme.py");
        let text = block("README.md", "python", "segment.analytics");
        fs::write(&script, text.replace(PRINTED, &serve.url(""))).unwrap();
        let mut python = Command::new(installed("venv/bin/python"));
        python.arg(script).current_dir(serve.folder());
        run(python).await.expect(0);
        expected += 1;
    }
    serve.settle().await;
    assert_eq!(
        serve.value("SELECT count(*) FROM all_events").await,
        expected.to_string()
    );
    serve.stop().await;
}

/// How a block of docs/sdks.md is run, and what must be installed for it.
fn runner(serve: &Serve, block: &Block, page: &str, number: usize) -> Option<(Command, Vec<&'static str>)> {
    let text = block.text.replace(PRINTED, &serve.url(""));
    let file = |extension: &str| {
        let file = serve.folder().join(format!("printed-{number}.{extension}"));
        fs::write(&file, &text).unwrap();
        file
    };
    let (command, needs) = match block.language.as_str() {
        "python" => {
            let mut python = Command::new(installed("venv/bin/python"));
            python.arg(file("py"));
            (python, vec!["venv/.installed"])
        }
        "js" => {
            let needs = vec!["node/.installed"];
            if missing(&needs).is_some() {
                return Some((Command::new("node"), needs));
            }
            let driver = stage(serve, "browser/drive.mjs");
            let mut node = Command::new("node");
            if text.contains("AnalyticsBrowser") {
                node.arg(driver).arg("snippet").arg(file("js")).arg(page);
                (node, vec!["node/.installed", CHROMIUM])
            } else {
                node.arg(file("mjs"));
                (node, needs)
            }
        }
        "java" => {
            let mut shell = Command::new("sh");
            let jars = installed("java");
            shell.args([
                "-euc",
                r#"echo /exit | jshell -s --class-path "$(ls "$1"/*.jar | tr '\n' ':')" "$2""#,
                "jshell",
            ]);
            shell.arg(jars).arg(file("java"));
            (shell, vec!["java/.installed"])
        }
        _ => return None,
    };
    Some((command, needs))
}

#[tokio::test]
async fn the_examples_for_sdks_work_as_printed() {
    let page = free_address();
    let config =
        block("docs/sdks.md", "toml", "[[sources]]").replace(PRINTED_PAGE, &format!("http://{page}"));
    let mut serve = Serve::start(&config).await;
    let mut sent = 0;
    for (number, block) in blocks("docs/sdks.md").iter().enumerate() {
        let Some((mut command, needs)) = runner(&serve, block, &page.to_string(), number) else {
            continue;
        };
        if let Some(missing) = missing(&needs) {
            eprintln!("left out: {missing} is not installed (make interop)");
            continue;
        }
        command.current_dir(serve.folder());
        run(command).await.expect(0);
        sent += 1;
        serve.settle().await;
        let query = "SELECT count(*) FROM all_events WHERE event = 'Article Viewed' AND properties->>'content_id' = 'a-1'";
        assert_eq!(serve.value(query).await, sent.to_string(), "after {}", block.text);
    }
    serve.stop().await;
}
