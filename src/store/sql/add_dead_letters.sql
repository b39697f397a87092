INSERT INTO dead_letters (
    received_at, recorded_at, stage, code, pointer, detail, source, event_id, message_id, trusted, origin, scope,
    payload, payload_length, payload_sha256, log_id, log_partition, log_offset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
