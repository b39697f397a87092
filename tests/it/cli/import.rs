use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
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

    // A serve that stands still for a while makes the import long enough to tell how far it is.
    let import = tokio::spawn(run(serve.command(&["import", path, "--json"])));
    until("it goes on", async || lines_done() > before).await;
    serve.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(4)).await;
    serve.signal(Signal::CONT);
    let ran = import.await.unwrap();
    assert_eq!(ran.code, Some(1), "broken lines are a problem: {}", ran.stderr);
    for says in [&format!("going on after line {before}"), "%: line ", "lines/s"] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = json!({
        "lines": LINES, "accepted": good, "different": good, "stored": good, "stored_new": good, "already_there": 0,
        "repeated": 0, "rejected": broken, "rejected_but_not_kept": 0,
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
            ran.stdout.contains(&format!(
                "{LINES} lines: 0 stored new, {good} already there, {broken} refused\n"
            )),
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
        .cli(&[
            "import",
            path.to_str().unwrap(),
            "--source",
            "few",
            "--new-source",
        ])
        .await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for line in [
        "line 3: malformed_json",
        "line 4: missing_identity",
        "line 5: ",
        "line 6: ",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("line 1: "), "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("5 lines: 1 stored new, 0 already there, 4 refused\n"),
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
        "--new-source",
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
        "{} import '{}' --event Progressed --source progress --new-source --data-dir '{}'",
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
        shown.contains("3000 rows: 3000 stored new, 0 already there, 0 refused"),
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
    let said = again.expect(0);
    assert_eq!(said, "3000 rows: 0 stored new, 3000 already there, 0 refused\n");
}

#[tokio::test]
async fn a_file_that_was_mended_and_has_grown_adds_only_what_is_new() {
    let serve = Serve::start("").await;
    let line =
        |user: &str| format!(r#"{{"event": "E", "userId": "{user}", "timestamp": "2025-03-01T00:00:00Z"}}"#);
    // Equal lines are two events; the third one is mended afterwards.
    let first = [line("a"), line("a"), line(""), line("b")].join("\n");
    let path = file(&serve, "grows.jsonl", &first);
    let import = ["import", path.to_str().unwrap()];
    let ran = serve.cli(&import).await;
    assert!(
        ran.stdout
            .contains("4 lines: 3 stored new, 0 already there, 1 refused"),
        "{}",
        ran.stdout
    );
    let second = [
        line("0-new"),
        line("a"),
        line("a"),
        line("c"),
        line("b"),
        line("d"),
    ]
    .join("\n");
    file(&serve, "grows.jsonl", &second);
    let stdout = serve.cli(&import).await.expect(0);
    assert!(
        stdout.contains("6 lines: 3 stored new, 3 already there, 0 refused"),
        "{stdout}"
    );
    let users = "SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM events";
    assert_eq!(serve.value(users).await, "0-new a a b c d");
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

    // What stays wrong is not tried again: it is a fault of its line, whatever else is sent with it.
    let control = momsflow::control::client::Client::new(serve.data_dir());
    let reply: Value = control
        .post_text("/import/lines?source=import", b"no event\nno\xff text".to_vec())
        .await
        .unwrap();
    let codes = ["malformed_json", "invalid_utf8"];
    for (index, code) in codes.into_iter().enumerate() {
        let refused = &reply["rejected"][index];
        assert_eq!(
            (&refused["code"], &refused["kept"]),
            (&json!(code), &json!(true)),
            "{reply}"
        );
    }
    assert_eq!(reply["accepted"], 0);
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
        "3 lines: 2 stored new, 0 already there, 0 refused\n",
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
    for (flags, new) in [
        (&["--event", "Flags One", "--source", "flags"][..], 1),
        (&["--event", "Flags Two", "--source", "flags"], 1),
        (&["--event", "Flags Two", "--source", "flags-b"], 1),
        (&["--type", "identify", "--source", "flags"], 1),
        (&["--type", "identify", "--source", "flags"], 0),
    ] {
        let ran = serve
            .cli(&[&["import", path, "--new-source"][..], flags].concat())
            .await;
        let expected = format!("1 line: {new} stored new, {} already there, 0 refused\n", 1 - new);
        assert_eq!(ran.expect(0), expected, "{flags:?}");
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
            said.contains("1 line: 0 stored new, 1 already there, 0 refused"),
            "{said}"
        );
    }
    let stored = "SELECT count(*) || ' ' || count(DISTINCT event_id) FROM events WHERE event = 'Copied'";
    assert_eq!(serve.value(stored).await, "3 3");
}

/// A look before: the same numbers as the import will tell, and nothing is changed.
#[tokio::test]
async fn a_dry_run_tells_all_and_changes_nothing() {
    let serve = Serve::start("").await;
    let good = |id: &str| {
        json!({"event": "Dry", "userId": "u", "messageId": id, "timestamp": "2025-03-01T00:00:00Z"})
            .to_string()
    };
    let first = file(&serve, "first.jsonl", &good("m-1"));
    serve.cli(&["import", first.to_str().unwrap()]).await.expect(0);
    let lines = [
        good("m-1"),
        good("m-2"),
        good("m-2"),
        good("m-3"),
        "{broken".to_owned(),
        r#"{"event": "Dry", "timestamp": "2025-03-01T00:00:00Z"}"#.to_owned(),
        r#"{"event": "Dry", "userId": "u", "timestamp": "2025-03-01 12:00"}"#.to_owned(),
        "{broken".to_owned(),
        "[]".to_owned(),
    ];
    let path = file(&serve, "dry.jsonl", &lines.join("\n"));
    let import = ["import", path.to_str().unwrap()];
    let kept = "SELECT (SELECT count(*) FROM events) || ' ' || (SELECT count(*) FROM dead_letters) || ' ' ||
                (SELECT coalesce(sum(next_offset), 0) FROM positions)";
    let (before, progress) = (serve.value(kept).await, imports(&serve));

    let said = serve.cli(&[&import[..], &["--dry-run"]].concat()).await.expect(1);
    for says in [
        "9 lines: 2 would be stored new, 1 are already there, 5 would be refused, 1 repeats another line; nothing was",
        "  malformed_json: 2 (lines 5, 8): ",
        "  missing_identity: 1 (line 6): ",
        "  missing_timestamp: 1 (line 7): ",
        "  not_an_object: 1 (line 9): ",
        "hint: when it happened stands in a member \"timestamp\", as 2025-03-01T12:00:00Z or ",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let ran = serve.cli(&[&import[..], &["--dry-run", "--json"]].concat()).await;
    let report: Value = serde_json::from_str(&ran.expect(1)).unwrap();
    assert_eq!(
        report["by_code"]["malformed_json"]["first_lines"],
        json!([5, 8]),
        "{report}"
    );
    assert_eq!(
        (&report["would_be_stored"], &report["rejected"]),
        (&json!(2), &json!(5))
    );
    let end = serve.status().await["log"]["partitions"].clone();
    assert_eq!((serve.value(kept).await, imports(&serve)), (before, progress));

    let said = serve.cli(&import).await.expect(1);
    let expected = "9 lines: 2 stored new, 1 already there, 5 refused, 1 repeats another line\n";
    assert!(said.starts_with(expected), "{said}");
    assert_ne!(
        serve.status().await["log"]["partitions"],
        end,
        "the log shows what is appended"
    );
    let codes = "SELECT string_agg(code || ' ' || n, ', ' ORDER BY code)
                 FROM (SELECT code, count(*) AS n FROM dead_letters GROUP BY code) AS codes";
    assert_eq!(
        serve.value(codes).await,
        "malformed_json 2, missing_identity 1, missing_timestamp 1, not_an_object 1"
    );
    // Kept as it stood in the file.
    let letters = serve
        .cli(&["dead-letters", "list", "--code", "malformed_json", "--json"])
        .await;
    let id = letters.json()[0]["id"].to_string();
    let shown = serve.cli(&["dead-letters", "show", &id]).await.expect(0);
    assert!(
        shown.contains("{broken") && !shown.contains("\"{broken"),
        "{shown}"
    );
}

fn imports(serve: &Serve) -> Vec<PathBuf> {
    let folder = fs::read_dir(serve.data_dir().join("imports"));
    let mut files: Vec<_> = folder
        .into_iter()
        .flatten()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

/// A file that is not understood at all is not turned into dead letters, unless that is said.
#[tokio::test]
async fn a_file_whose_first_lines_are_all_refused_is_not_sent() {
    let serve = Serve::start("").await;
    let row = |count: usize, text: &str| text.repeat(count);
    for (name, text, flags, says) in [
        (
            "unnamed.csv",
            format!("userId,timestamp\n{}", row(150, "u,2025-03-01T00:00:00Z\n")),
            &[][..],
            &[
                "each of the first 100 rows is refused",
                "missing_name: 100 (rows 1, 2, 3, 4, 5, …)",
                "--event 'NAME'",
            ][..],
        ),
        (
            "nobody.csv",
            format!("user_id,timestamp\n{}", row(3, "u,2025-03-01T00:00:00Z\n")),
            &["--event", "E"],
            &[
                "each of the first 3 rows",
                "missing_identity: 3",
                "columns are user_id, timestamp; rename user_id to userId",
            ],
        ),
        (
            "zoneless.csv",
            format!("userId,timestamp\n{}", row(3, "u,2025-03-01 12:00:00\n")),
            &["--event", "E"],
            &[
                "missing_timestamp: 3",
                "2025-03-01T12:00:00+01:00: a zone is needed",
            ],
        ),
        (
            "text.jsonl",
            row(101, "userId,timestamp\n"),
            &[],
            &["malformed_json: 100", "--format csv"],
        ),
    ] {
        let path = file(&serve, name, &text);
        let ran = serve
            .cli(&[&["import", path.to_str().unwrap()][..], flags].concat())
            .await;
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(1), ""),
            "{name}: {}",
            ran.stderr
        );
        for says in [says, &["hint: --keep-going"]].concat() {
            assert!(ran.stderr.contains(says), "{name}, {says}: {}", ran.stderr);
        }
    }
    let nothing = "SELECT (SELECT count(*) FROM dead_letters) || ' ' || (SELECT coalesce(sum(next_offset), 0) FROM positions)";
    assert_eq!(serve.value(nothing).await, "0 0");

    // One good line among the first is enough, and so is to say it.
    let text = format!(
        "userId,timestamp,event\n{}u,2025-03-01T00:00:00Z,E\n",
        row(99, "u,2025-03-01T00:00:00Z,\n")
    );
    let path = file(&serve, "one.csv", &text);
    let said = serve.cli(&["import", path.to_str().unwrap()]).await.expect(1);
    assert!(
        said.starts_with("100 rows: 1 stored new, 0 already there, 99 refused\n"),
        "{said}"
    );
    let path = file(
        &serve,
        "all.csv",
        &format!("userId,timestamp\n{}", row(120, "u,2025-03-01T00:00:00Z\n")),
    );
    let said = serve
        .cli(&["import", path.to_str().unwrap(), "--keep-going"])
        .await
        .expect(1);
    assert!(
        said.starts_with("120 rows: 0 stored new, 0 already there, 120 refused\n"),
        "{said}"
    );
    assert_eq!(serve.value("SELECT count(*) FROM dead_letters").await, "219");
}

/// By a slip of the hand history would get a source of its own.
#[tokio::test]
async fn a_source_that_nothing_knows_is_refused() {
    let serve = super::shared().await;
    let event = json!({"event": "Sourced", "userId": "u", "timestamp": "2025-03-01T00:00:00Z"});
    let path = file(serve, "sourced.jsonl", &event.to_string());
    let import = |source: &'static str| ["import", path.to_str().unwrap(), "--source", source];
    for dry in [&[][..], &["--dry-run"]] {
        let ran = serve.cli(&[&import("webiste")[..], dry].concat()).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        for says in [
            "--source webiste: no source",
            "app, ",
            "website",
            "did you mean website?",
            "--new-source",
        ] {
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
    }
    assert_eq!(
        serve
            .value("SELECT count(*) FROM events WHERE source = 'webiste'")
            .await,
        "0"
    );
    serve.cli(&import("website")).await.expect(0);
    serve.cli(&import("import")).await.expect(0);
    assert_eq!(serve.cli(&import("sourced")).await.code, Some(2));
    serve
        .cli(&[&import("sourced")[..], &["--new-source"]].concat())
        .await
        .expect(0);
    let again = serve
        .cli(&[&import("sourced")[..], &["--restart"]].concat())
        .await;
    assert_eq!(
        again.expect(0),
        "1 line: 0 stored new, 1 already there, 0 refused\n"
    );
}

/// A command with lines that come through a pipe, to its end or to its death.
fn piped(serve: &Serve, lines: String) -> std::process::Child {
    let mut command = serve.command(&["import", "-", "--format", "jsonl", "--json"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut import = command.spawn().unwrap();
    let mut pipe = import.stdin.take().unwrap();
    std::thread::spawn(move || pipe.write_all(lines.as_bytes()));
    import
}

#[tokio::test]
async fn a_pipe_and_packed_files_are_as_exact_as_a_file() {
    let serve = Serve::start("").await;
    let copies = || {
        let files = fs::read_dir(serve.data_dir().join("imports"))
            .into_iter()
            .flatten()
            .flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().starts_with("pipe-"))
            .count()
    };
    let is_begun = || {
        imports(&serve).iter().any(|file| {
            let progress: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap_or_default();
            progress["lines"].as_u64() > Some(LINES / 10)
        })
    };
    let mut import = piped(&serve, history());
    until("some lines are imported", async || {
        assert_eq!(
            import.try_wait().unwrap(),
            None,
            "it ended before it could be killed"
        );
        is_begun()
    })
    .await;
    import.kill().unwrap();
    import.wait().unwrap();
    assert_eq!(copies(), 1, "a kill leaves the copy");

    let again = piped(&serve, history());
    let ran = tokio::task::spawn_blocking(|| again.wait_with_output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("going on after line"), "{said}");
    let good = LINES - LINES / BROKEN_EVERY;
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        (&report["lines"], &report["stored_new"]),
        (&json!(LINES), &json!(good)),
        "{said}"
    );
    assert_eq!(copies(), 0, "the next one clears up");

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(history().as_bytes()).unwrap();
    let path = serve.folder().join("history.jsonl.gz");
    fs::write(&path, gzip.finish().unwrap()).unwrap();
    let packed = serve.cli(&["import", path.to_str().unwrap(), "--json"]).await;
    let report: Value = serde_json::from_str(&packed.expect(1)).unwrap();
    assert_eq!(
        (&report["lines"], &report["already_there"], &report["stored_new"]),
        (&json!(LINES), &json!(good), &json!(0))
    );
    let stored = "SELECT count(*) || ' ' || count(DISTINCT event_id) FROM events";
    assert_eq!(serve.value(stored).await, format!("{good} {good}"));

    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cut = serve.cli(&["import", path.to_str().unwrap()]).await;
    assert_eq!(cut.code, Some(1));
    assert!(cut.stderr.contains("cannot read"), "{}", cut.stderr);
    let nameless = serve.cli(&["import", "-"]).await;
    assert_eq!(nameless.code, Some(2));
    assert!(
        nameless.stderr.contains("standard input: the name does not tell"),
        "{}",
        nameless.stderr
    );
}
