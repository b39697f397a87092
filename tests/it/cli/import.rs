use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use momsflow::control::client::ControlError;
use serde_json::{Value, json};

use super::super::serve::{Serve, run, until};
use super::super::support::kill;

/// As many lines as take a debug build some seconds.
const LINES: u64 = 30_000;
/// Every such line is broken in one of three ways.
const BROKEN_EVERY: u64 = 1_000;

fn file(serve: &Serve, name: &str, text: &str) -> PathBuf {
    let path = serve.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn history() -> String {
    let mut text = String::new();
    for line in 1..=LINES {
        let broken = line / BROKEN_EVERY % 3;
        match (line % BROKEN_EVERY, broken) {
            (0, 0) => writeln!(text, "{{broken"),
            (0, 1) => writeln!(text, "{}", json!({"event": "Nobody", "timestamp": "2025-01-01T00:00:00Z"})),
            (0, _) => writeln!(text, "{}", json!({"event": "Undated", "userId": "u"})),
            _ => writeln!(
                text,
                "{}",
                json!({
                    "event": "Article Viewed", "userId": format!("u-{}", line % 700),
                    "timestamp": format!("2025-{:02}-15T12:00:00Z", line % 12 + 1), "properties": {"line": line},
                })
            ),
        }
        .unwrap();
    }
    text
}

#[tokio::test]
async fn a_killed_import_goes_on_and_is_exact_at_the_end() {
    let serve = Serve::start("").await;
    let path = file(&serve, "history.jsonl", &history());
    let path = path.to_str().unwrap();
    let broken = LINES / BROKEN_EVERY;
    let good = LINES - broken;

    let lines_done = || -> u64 {
        let folder = fs::read_dir(serve.data_dir().join("imports"));
        let files = folder.into_iter().flatten().filter_map(Result::ok);
        let done = files.filter(|file| {
            file.path()
                .extension()
                .is_some_and(|extension| extension == "json")
        });
        done.map(|file| {
            let progress: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
            progress["lines"].as_u64().unwrap()
        })
        .sum()
    };
    for share in [LINES / 10, LINES / 3] {
        let mut command = serve.command(&["import", path]);
        let mut import = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("some lines are imported", async || {
            assert_eq!(
                import.try_wait().unwrap(),
                None,
                "it ended before it could be killed"
            );
            lines_done() >= share
        })
        .await;
        kill(i32::try_from(import.id()).unwrap());
        import.wait().unwrap();
    }
    let before = lines_done();
    assert!((1..LINES).contains(&before), "{before}");

    let ran = serve.cli(&["import", path, "--json"]).await;
    assert_eq!(ran.code, Some(1), "broken lines are a problem: {}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!("going on after line {before}")),
        "{}",
        ran.stderr
    );
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = json!({
        "lines": LINES, "accepted": good, "different": good, "stored": good, "rejected": broken, "rejected_but_not_kept": 0,
    });
    assert_eq!(report, expected);
    let stored = "SELECT count(*) || ' ' || count(DISTINCT properties->'line') || ' ' || bool_and(
                      received_at = occurred_at AND date_part('year', received_at) = 2025 AND source = 'import')
                  FROM events";
    assert_eq!(serve.value(stored).await, format!("{good} {good} true"));

    for folder in ["event-log", "imports"] {
        let mode = fs::metadata(serve.data_dir().join(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{folder} holds events");
    }

    // Again, from the end and from the beginning: nothing is added.
    for more in [&["import", path][..], &["import", path, "--restart"]] {
        let ran = serve.cli(more).await;
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(
            ran.stdout
                .contains(&format!("{good} different events are stored")),
            "{}",
            ran.stdout
        );
        assert_eq!(serve.value(stored).await, format!("{good} {good} true"));
    }
}

#[tokio::test]
async fn lines_are_named_and_csv_becomes_events() {
    let serve = Serve::start("").await;
    let lines = [
        r#"{"type": "page", "name": "Home", "anonymousId": "a-1", "timestamp": "2025-03-01T00:00:00Z"}"#,
        "",
        "{broken",
        r#"{"event": "E", "timestamp": "2025-03-01T00:00:00Z"}"#,
        r#"{"event": "E", "userId": "u", "timestamp": "1970-01-01T00:00:00Z"}"#,
        r#"{"event": "E", "userId": "u", "timestamp": "2025-03-01T00:00:00Z", "properties": {"n": "\u0000"}}"#,
    ];
    let path = file(&serve, "few.jsonl", &lines.join("\n"));
    let ran = serve
        .cli(&["import", path.to_str().unwrap(), "--source", "few"])
        .await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for line in ["line 3: ", "line 4: missing_identity", "line 5: ", "line 6: "] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("line 1: "), "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("1 accepted, 4 rejected; 1 different events are stored"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        serve
            .value("SELECT count(*) FROM dead_letters WHERE source = 'few'")
            .await,
        "4"
    );

    let csv = "userId,timestamp,units,total,zip,note\n\
               00042,1989-12-31T00:00:00Z,3,29.50,01234,\"a \"\"quoted\"\", note\"\n\
               00042,2025-02-02T10:00:00+02:00,2,5,09999,\n\
               7,2025-02-03T00:00:00Z,1,12.25,1,x\n";
    let path = file(&serve, "orders.csv", csv);
    let import = [
        "import",
        path.to_str().unwrap(),
        "--event",
        "Order Completed",
        "--source",
        "shop",
    ];
    let ran = serve.cli(&import).await;
    assert_eq!(ran.code, Some(1), "1989 is before backdate_from: {}", ran.stdout);
    assert!(ran.stderr.contains("row 1: "), "{}", ran.stderr);
    let rows =
        "SELECT string_agg(concat_ws(' ', user_id, received_at AT TIME ZONE 'UTC', properties::text), '; '
                    ORDER BY received_at) FROM events WHERE event = 'Order Completed'";
    assert_eq!(
        serve.value(rows).await,
        r#"00042 2025-02-02 08:00:00 {"zip": "09999", "total": 5, "units": 2}; "#.to_owned()
            + r#"7 2025-02-03 00:00:00 {"zip": 1, "note": "x", "total": 12.25, "units": 1}"#
    );
}

/// On a terminal people see how far it is; a file or a pipe gets only the result.
#[tokio::test]
async fn a_terminal_shows_progress() {
    let serve = super::shared().await;
    let mut text = String::from("userId,timestamp\n");
    for line in 0..3_000 {
        writeln!(text, "u-{line},2025-03-01T00:00:00Z").unwrap();
    }
    let path = file(serve, "progress.csv", &text);
    let import = format!(
        "{} import '{}' --event Progressed --source progress --data-dir '{}'",
        env!("CARGO_BIN_EXE_momsflow"),
        path.display(),
        serve.data_dir().display()
    );
    let mut terminal = std::process::Command::new("script");
    terminal
        .args(["-qefc", &import, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .current_dir(serve.folder());
    let shown = run(terminal).await.expect(0);
    assert!(
        shown.contains("3000 lines: 3000 accepted, 0 rejected; 3000 different events"),
        "{shown}"
    );
    assert!(
        shown.contains("100%") && shown.contains("3000 events"),
        "{shown:?}"
    );
    let again = serve
        .cli(&[
            "import",
            path.to_str().unwrap(),
            "--source",
            "progress",
            "--event",
            "Progressed",
        ])
        .await;
    assert!(!again.expect(0).contains('%'));
}

#[tokio::test]
async fn a_missing_file_is_a_problem() {
    let serve = super::shared().await;
    let ran = serve.cli(&["import", "nowhere.jsonl"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("cannot read nowhere.jsonl"), "{}", ran.stderr);
}

/// What bounds the requests of clients bounds no file of the operator's, and no faulty line of it goes unkept.
#[tokio::test]
async fn limits_for_clients_do_not_hold_a_file_up() {
    let serve = Serve::start("[ingest]\nmax_batch = 100\nrejects_kept_per_second = 1\n").await;
    let mut text = String::new();
    for line in 0..300 {
        let person = if line % 5 == 0 { "groupId" } else { "userId" };
        writeln!(
            text,
            "{}",
            json!({"event": "E", person: "p", "timestamp": "2025-03-01T00:00:00Z"})
        )
        .unwrap();
    }
    let path = file(&serve, "many.jsonl", &text);
    let ran = serve.cli(&["import", path.to_str().unwrap(), "--json"]).await;
    let report: Value = serde_json::from_str(&ran.expect(1)).unwrap();
    assert_eq!(
        (&report["accepted"], &report["rejected"]),
        (&json!(240), &json!(60)),
        "{report}"
    );
    assert_eq!(report["rejected_but_not_kept"], 0, "{report}");
    assert_eq!(serve.value("SELECT count(*) FROM dead_letters").await, "60");

    // What stays wrong is not tried again.
    let control = momsflow::control::client::Client::new(serve.data_dir());
    let refused = control
        .post_text::<Value>("/import?source=import", b"no batch".to_vec())
        .await
        .unwrap_err();
    assert!(matches!(refused, ControlError::Refused(_)), "{refused:?}");
}

/// What serve accepted and capture refuses is a gap that the end of the import names.
#[tokio::test]
async fn events_that_are_not_stored_are_a_problem() {
    let serve = Serve::start("").await;
    serve
        .sql()
        .await
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.event = 'Poison' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '22003'; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let lines = ["Good", "Poison", "Good"]
        .map(|event| json!({"event": event, "userId": "u", "timestamp": "2025-03-01T00:00:00Z"}).to_string());
    let path = file(&serve, "gap.jsonl", &lines.join("\n"));
    let ran = serve.cli(&["import", path.to_str().unwrap()]).await;
    let said = ran.expect(1);
    for says in [
        "3 lines: 3 accepted, 0 rejected; 2 different events are stored",
        "PROBLEM: 1 of 3 different events",
        "hint: momsflow dead-letters list --source import",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let letters = serve
        .cli(&["dead-letters", "list", "--source", "import"])
        .await
        .expect(0);
    assert!(letters.contains("refused"), "{letters}");
}

/// A file with other flags makes other events, which are sent and stored.
#[tokio::test]
async fn other_flags_do_not_go_on_where_the_first_came_to() {
    let serve = super::shared().await;
    let path = file(
        serve,
        "flags.jsonl",
        r#"{"userId": "u-flags", "timestamp": "2025-03-01T00:00:00Z"}"#,
    );
    let path = path.to_str().unwrap();
    for flags in [
        &["--event", "Flags One", "--source", "flags"][..],
        &["--event", "Flags Two", "--source", "flags"],
        &["--event", "Flags Two", "--source", "flags-b"],
        &["--type", "identify", "--source", "flags"],
        &["--type", "identify", "--source", "flags"],
    ] {
        let ran = serve.cli(&[&["import", path][..], flags].concat()).await;
        let said = ran.expect(0);
        assert!(
            said.contains("1 different events are stored"),
            "{flags:?}: {said}"
        );
    }
    let stored = "SELECT string_agg(concat_ws(' ', source, type, event), ', ' ORDER BY source, type, event)
                  FROM events WHERE user_id = 'u-flags'";
    assert_eq!(
        serve.value(stored).await,
        "flags identify, flags track Flags One, flags track Flags Two, flags-b track Flags Two"
    );
}

/// What came live from a source is found again in its history, whether the source is trusted or not.
#[tokio::test]
async fn a_copy_of_what_came_live_is_not_stored_again() {
    let serve = super::shared().await;
    for (source, id) in [
        ("letters", "0198c7a2-5c5e-7cc0-9a2e-000000000001"),
        ("website", "0198c7a2-5c5e-7cc0-9a2e-000000000002"),
        ("website", "no-uuid"),
    ] {
        let mut event = json!({"type": "track", "event": "Copied", "userId": "u-copied", "messageId": id});
        let (status, answer) = serve.post_as(&format!("{source}-key"), "/v1/track", &event).await;
        assert_eq!(status.as_u16(), 200, "{answer}");
        event["timestamp"] = json!("2025-03-01T00:00:00Z");
        let path = file(serve, &format!("copied-{id}.jsonl"), &event.to_string());
        let ran = serve
            .cli(&["import", path.to_str().unwrap(), "--source", source])
            .await;
        let said = ran.expect(0);
        assert!(
            said.contains("1 accepted, 0 rejected; 1 different events are stored"),
            "{said}"
        );
    }
    let stored = "SELECT count(*) || ' ' || count(DISTINCT event_id) FROM events WHERE event = 'Copied'";
    assert_eq!(serve.value(stored).await, "3 3");
}
