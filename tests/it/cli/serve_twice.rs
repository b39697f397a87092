use super::super::serve::{free_address, run};
use super::shared;

#[tokio::test]
async fn a_second_serve_on_one_data_dir_hears_who_holds_it() {
    let serve = shared().await;
    let mut second = serve.command(&["serve"]);
    second
        .env("MOMSFLOW_HTTP__LISTEN", free_address().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", free_address().to_string());
    let ran = run(second).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let holder = format!("another momsflow (process {})", serve.pid().unwrap());
    assert!(ran.stderr.contains(&holder), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: stop it, or choose another folder"),
        "{}",
        ran.stderr
    );
    // The first one did not suffer.
    assert_eq!(serve.get("/ready").await.0.as_u16(), 200);
    assert_eq!(serve.value("SELECT 1").await, "1");
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_holder_and_nothing_is_left_behind() {
    let serve = shared().await;
    let folder = tempfile::tempdir().unwrap();
    // The embedded PostgreSQL's account must be able to pass through.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut other = super::in_folder(folder.path(), &["serve", "--data-dir", "data"]);
    other
        .env("MOMSFLOW_HTTP__LISTEN", serve.http().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", free_address().to_string());
    let ran = run(other).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let holder = format!("process {} (momsflow) listens there", serve.pid().unwrap());
    for says in [
        "cannot listen on",
        "http.listen",
        &holder,
        "hint: is another momsflow running? Stop it, or set http.listen in the config",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    assert!(!folder.path().join("data").exists(), "a data dir is left behind");

    let mut other = super::in_folder(folder.path(), &["serve", "--data-dir", "data"]);
    other
        .env("MOMSFLOW_HTTP__LISTEN", serve.http().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", serve.admin().to_string());
    let ran = run(other).await;
    for says in [
        "(http.listen): ",
        "(admin.listen): ",
        "set http.listen and admin.listen in the config; MOMSFLOW_HTTP__LISTEN=127.0.0.1:0 \
         MOMSFLOW_ADMIN__LISTEN=127.0.0.1:0 take free ports",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }

    let mut other = super::in_folder(folder.path(), &["serve", "--data-dir", "data"]);
    other
        .env("MOMSFLOW_HTTP__LISTEN", free_address().to_string())
        .env("MOMSFLOW_ADMIN__LISTEN", serve.admin().to_string());
    let ran = run(other).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("(admin.listen)") && ran.stderr.contains(&holder),
        "{}",
        ran.stderr
    );
    assert!(!folder.path().join("data").exists(), "a data dir is left behind");
}
