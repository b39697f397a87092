use serde_json::json;

use super::serve::Serve;

#[tokio::test]
async fn an_event_is_found_in_sql_and_a_restart_keeps_keys_ports_and_log() {
    let mut serve = Serve::start("").await;
    let event = json!({"userId": "u-1", "event": "Article Viewed", "messageId": "m-1"});
    let (status, answer) = serve.post("/v1/track", &event).await;
    assert_eq!(
        (status.as_u16(), &answer["accepted"]),
        (200, &json!(1)),
        "{answer}"
    );
    serve.settle().await;
    assert_eq!(
        serve
            .value("SELECT count(*) FROM events WHERE user_id = 'u-1'")
            .await,
        "1"
    );

    let known = async |serve: &Serve| {
        let status = serve.status().await;
        (
            serve.write_key(),
            status["http"].clone(),
            status["admin"].clone(),
            status["log"]["log_id"].clone(),
            status["event_store"].clone(),
        )
    };
    let before = known(&serve).await;
    serve.stop().await;
    serve.start_again().await;
    assert_eq!(known(&serve).await, before);

    serve.kill_all().await;
    serve.start_again().await;
    assert_eq!(known(&serve).await, before);
    let (status, _) = serve.post("/v1/track", &event).await;
    assert_eq!(status.as_u16(), 200);
    serve.settle().await;
    assert_eq!(serve.value("SELECT count(*) FROM events").await, "1");
    serve.stop().await;
}
