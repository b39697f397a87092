use super::alone;

/// Every subcommand, as it is typed.
const SUBCOMMANDS: [&str; 35] = [
    "",
    "serve",
    "check",
    "migrate",
    "status",
    "tail",
    "dead-letters",
    "dead-letters list",
    "dead-letters show",
    "dead-letters replay",
    "dead-letters discard",
    "events",
    "events list",
    "import",
    "demo",
    "demo remove",
    "identity",
    "identity show",
    "identity rebuild",
    "identity revoke",
    "user-views",
    "user-views run",
    "user-views rebuild",
    "user-views verify",
    "user-views explain",
    "pixel",
    "pixel keys",
    "pixel keys list",
    "pixel keys rotate",
    "psql",
    "connect",
    "config",
    "config show",
    "config reference",
    "help",
];

#[tokio::test]
async fn each_subcommand_explains_itself() {
    for subcommand in SUBCOMMANDS {
        let mut arguments: Vec<_> = subcommand.split_whitespace().collect();
        if subcommand != "help" {
            arguments.push("--help");
        }
        let help = alone(&arguments).await.expect(0);
        let name = format!("help {subcommand}").trim().replace([' ', '-'], "_");
        insta::assert_snapshot!(name, help);
    }
}

/// The list above is complete: what a help names has a snapshot of its own.
#[tokio::test]
async fn no_subcommand_is_left_out() {
    for parent in SUBCOMMANDS {
        let mut arguments: Vec<_> = parent.split_whitespace().collect();
        arguments.push("--help");
        if parent == "help" {
            continue;
        }
        let help = alone(&arguments).await.expect(0);
        let Some((_, commands)) = help.split_once("Commands:\n") else {
            continue;
        };
        let names = commands
            .lines()
            .take_while(|line| !line.is_empty())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| *name != "help") {
            let full = format!("{parent} {name}");
            assert!(SUBCOMMANDS.contains(&full.trim()), "{full} has no snapshot");
        }
    }
}

#[tokio::test]
async fn wrong_use_is_exit_code_2_with_a_way_out() {
    for (arguments, says) in [
        (&["statu"][..], "a similar subcommand exists: 'status'"),
        (
            &["serve", "--roles", "ingest,captur"],
            "a similar value exists: 'capture'",
        ),
        (
            &["serve", "--role", "ingest"],
            "a similar argument exists: '--roles'",
        ),
        (
            &["dead-letters", "discard"],
            "hint: name ids, or --code, or --source, or --all",
        ),
        (
            &["dead-letters", "replay", "1", "--set", "userId=u"],
            "expected /PATH=VALUE",
        ),
        (&["import", "history.txt"], "hint: --format jsonl or --format csv"),
        (
            &["import", "history.csv", "--type", "click"],
            "one of track, identify, page",
        ),
        (
            &["import", "history.csv", "--source", "a b"],
            "--source a b: a name has",
        ),
        (&["connect", "excel"], "[possible values: grafana, metabase]"),
        (&[], "Usage: momsflow"),
    ] {
        let ran = alone(arguments).await;
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn without_a_serve_the_commands_beside_it_say_how_to_start_one() {
    for arguments in [
        &["status"][..],
        &["tail"],
        &["dead-letters", "list"],
        &["dead-letters", "replay", "--all"],
        &["events", "list"],
        &["identity", "show", "u-1"],
        &["identity", "revoke", "1", "--yes"],
        &["demo"],
        &["demo", "remove", "--yes"],
        &["migrate"],
        &["psql"],
        &["connect", "grafana"],
    ] {
        let ran = alone(arguments).await;
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("momsflow serve"),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("hint:"), "{arguments:?}: {}", ran.stderr);
    }
}
