//! Every metric's name, unit and help. Counters end in `_total`, units stand in the name.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Buckets of the latency histograms, in seconds.
pub const SECONDS_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Events acknowledged by ingest and pixel; labels `source`, `type`.
pub const INGEST_EVENTS_TOTAL: &str = "momsflow_ingest_events_total";
/// Events refused by ingest and pixel; labels `source`, `code`.
pub const INGEST_REJECTED_TOTAL: &str = "momsflow_ingest_rejected_total";
/// Requests refused as a whole; label `code`.
pub const HTTP_REFUSED_TOTAL: &str = "momsflow_http_refused_total";
/// Seconds from a request's first byte to its answer; label `status`.
pub const HTTP_REQUEST_SECONDS: &str = "momsflow_http_request_seconds";
/// Bytes of requests being worked on.
pub const HTTP_IN_FLIGHT_BYTES: &str = "momsflow_http_in_flight_bytes";
/// Events whose timestamp was unusable, so that occurred_at = received_at; label `source`.
pub const INGEST_TIMESTAMP_UNUSABLE_TOTAL: &str = "momsflow_ingest_timestamp_unusable_total";
/// Hits of the pixel; labels `state` (of the visitor's userprint), `outcome` (logged: durable before the answer; unsure:
/// answered before; shed: no room or no log; refused: by what it is).
pub const PIXEL_HITS_TOTAL: &str = "momsflow_pixel_hits_total";
/// Hits that were shed or refused; label `reason`.
pub const PIXEL_UNLOGGED_TOTAL: &str = "momsflow_pixel_unlogged_total";
/// Hits that were unsure, once they came to an end; label `outcome` (logged, lost).
pub const PIXEL_LATE_TOTAL: &str = "momsflow_pixel_late_total";
/// What visitors decided; label `choice` (optin, optout, forget).
pub const PIXEL_CHOICES_TOTAL: &str = "momsflow_pixel_choices_total";
/// Userprint cookies that were not believed by the pixel; label `fault` (malformed, unknown_key, wrong_tag, expired).
pub const USERPRINT_REFUSED_TOTAL: &str = "momsflow_userprint_refused_total";
/// Records appended to the event log; label `partition`.
pub const LOG_APPENDED_TOTAL: &str = "momsflow_log_appended_total";
/// Seconds that an append to the event log took until it was durable.
pub const LOG_APPEND_SECONDS: &str = "momsflow_log_append_seconds";
/// Persons whose events were each a tenth or more of a Kafka partition's in the last minute; label `partition`. Who they
/// are, `momsflow status` says, since metrics go to many hands.
pub const LOG_HOT_KEYS: &str = "momsflow_log_hot_keys";
/// Bytes that the event log takes on disk.
pub const LOG_DISK_BYTES: &str = "momsflow_log_disk_bytes";
/// Records that were spooled on the local disk, because the event log did not take them.
pub const SPOOL_RECORDS_TOTAL: &str = "momsflow_spool_records_total";
/// Records that were sent from the spool to the event log; one that was sent again counts again.
pub const SPOOL_REPLAYED_TOTAL: &str = "momsflow_spool_replayed_total";
/// Records in the spool that the event log does not have yet.
pub const SPOOL_RECORDS: &str = "momsflow_spool_records";
/// Bytes that the spool takes on disk.
pub const SPOOL_BYTES: &str = "momsflow_spool_bytes";
/// Age of the oldest record in the spool that the event log does not have yet, in seconds.
pub const SPOOL_OLDEST_SECONDS: &str = "momsflow_spool_oldest_seconds";
/// Files of what the spool could not send: events that the event log does not take, damaged and missing segments.
pub const SPOOL_SET_ASIDE: &str = "momsflow_spool_set_aside";
/// Log records by what became of them; labels `partition`, `outcome` (stored, duplicate, dead_letter, foreign; suppressed: of
/// visitors who asked to be forgotten; gap: offsets that the log no longer had).
pub const CAPTURE_RECORDS_TOTAL: &str = "momsflow_capture_records_total";
/// Duplicates whose content differs from what is stored; label `partition`.
pub const CAPTURE_CONFLICTS_TOTAL: &str = "momsflow_capture_conflicts_total";
/// Records that wait in the log for capture; label `partition`.
pub const CAPTURE_LAG_RECORDS: &str = "momsflow_capture_lag_records";
/// Age of the oldest record in the log that is not stored yet, in seconds, on the host that has the partition; label
/// `partition`.
pub const CAPTURE_LAG_SECONDS: &str = "momsflow_capture_lag_seconds";
/// Dead letters that were neither replayed nor discarded, in the whole event store; label `code`.
pub const DEAD_LETTERS_WAITING: &str = "momsflow_dead_letters_waiting";
/// Seconds from acceptance to commit, of a batch's oldest event.
pub const CAPTURE_DELAY_SECONDS: &str = "momsflow_capture_delay_seconds";
/// Seconds of a capture transaction.
pub const CAPTURE_COMMIT_SECONDS: &str = "momsflow_capture_commit_seconds";
/// Transactions that failed and were repeated; label `class` of the SQLSTATE.
pub const CAPTURE_RETRIES_TOTAL: &str = "momsflow_capture_retries_total";
/// Capture hosts that live, as this one sees them.
pub const CAPTURE_HOSTS: &str = "momsflow_capture_hosts";
/// Whether this host has the partition (1) or another one may have it (0); label `partition`.
pub const CAPTURE_OWNED: &str = "momsflow_capture_owned";
/// The epoch of the partition's lease, which rises at each change of its owner; label `partition`.
pub const CAPTURE_LEASE_EPOCH: &str = "momsflow_capture_lease_epoch";
/// Partitions that this host took after their owner had let the lease expire; label `partition`.
pub const CAPTURE_TAKE_OVERS_TOTAL: &str = "momsflow_capture_take_overs_total";
/// Records of the embedded log from before a move to Kafka that are not in the event store yet, by partition.
pub const FORMER_LOG_RECORDS: &str = "momsflow_former_log_records";
/// Restarts of the embedded PostgreSQL.
pub const POSTGRES_RESTARTS_TOTAL: &str = "momsflow_postgres_restarts_total";

pub(super) fn describe_all() {
    describe_counter!(INGEST_EVENTS_TOTAL, "Events acknowledged by ingest and pixel");
    describe_counter!(
        INGEST_REJECTED_TOTAL,
        "Events refused by ingest and pixel, by code"
    );
    describe_counter!(HTTP_REFUSED_TOTAL, "Requests refused as a whole, by code");
    describe_histogram!(
        HTTP_REQUEST_SECONDS,
        "Seconds from a request's first byte to its answer"
    );
    describe_gauge!(HTTP_IN_FLIGHT_BYTES, "Bytes of requests being worked on");
    describe_counter!(
        INGEST_TIMESTAMP_UNUSABLE_TOTAL,
        "Events with an unusable timestamp"
    );
    describe_counter!(LOG_APPENDED_TOTAL, "Records appended to the event log");
    describe_gauge!(
        LOG_HOT_KEYS,
        "Persons whose events were a tenth or more of a partition's in the last minute"
    );
    describe_histogram!(LOG_APPEND_SECONDS, "Seconds until an append was durable");
    describe_gauge!(LOG_DISK_BYTES, "Bytes that the event log takes on disk");
    describe_pixel();
    describe_spool();
    describe_capture();
    describe_counter!(POSTGRES_RESTARTS_TOTAL, "Restarts of the embedded PostgreSQL");
}

fn describe_capture() {
    describe_counter!(CAPTURE_RECORDS_TOTAL, "Log records by what became of them");
    describe_counter!(
        CAPTURE_CONFLICTS_TOTAL,
        "Duplicates whose content differs from what is stored"
    );
    describe_gauge!(CAPTURE_LAG_RECORDS, "Records that wait in the log for capture");
    describe_gauge!(
        CAPTURE_LAG_SECONDS,
        "Age of the oldest record that waits for capture"
    );
    describe_gauge!(
        DEAD_LETTERS_WAITING,
        "Dead letters neither replayed nor discarded, in the whole event store, by code"
    );
    describe_histogram!(
        CAPTURE_DELAY_SECONDS,
        "Seconds from acceptance to commit, of a batch's oldest event"
    );
    describe_histogram!(CAPTURE_COMMIT_SECONDS, "Seconds of a capture transaction");
    describe_counter!(
        CAPTURE_RETRIES_TOTAL,
        "Capture transactions that failed and were repeated"
    );
    describe_gauge!(CAPTURE_HOSTS, "Capture hosts that live, as this one sees them");
    describe_gauge!(CAPTURE_OWNED, "Whether this host has the partition");
    describe_gauge!(
        CAPTURE_LEASE_EPOCH,
        "Epoch of the partition's lease, which rises at each change of its owner"
    );
    describe_counter!(
        CAPTURE_TAKE_OVERS_TOTAL,
        "Partitions taken after their owner had let the lease expire"
    );
    describe_gauge!(
        FORMER_LOG_RECORDS,
        "Records of the embedded log from before a move to Kafka that wait to be stored"
    );
}

fn describe_pixel() {
    describe_counter!(PIXEL_HITS_TOTAL, "Hits of the pixel, by what became of them");
    describe_counter!(PIXEL_UNLOGGED_TOTAL, "Hits that were shed or refused, by reason");
    describe_counter!(
        PIXEL_LATE_TOTAL,
        "Hits that were answered before they were durable, by their end"
    );
    describe_counter!(PIXEL_CHOICES_TOTAL, "What visitors decided about being known");
    describe_counter!(
        USERPRINT_REFUSED_TOTAL,
        "Userprint cookies that were not believed"
    );
}

fn describe_spool() {
    describe_counter!(SPOOL_RECORDS_TOTAL, "Records spooled on the local disk");
    describe_counter!(
        SPOOL_REPLAYED_TOTAL,
        "Records sent from the spool to the event log"
    );
    describe_gauge!(SPOOL_RECORDS, "Records in the spool that the event log lacks");
    describe_gauge!(SPOOL_BYTES, "Bytes that the spool takes on disk");
    describe_gauge!(SPOOL_OLDEST_SECONDS, "Age of the oldest record in the spool");
    describe_gauge!(
        SPOOL_SET_ASIDE,
        "Files of what could not be sent from the spool to the event log"
    );
}
