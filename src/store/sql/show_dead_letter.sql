SELECT id, received_at, stage, code, pointer, detail, source, event_id, message_id, trusted, origin, scope, payload, payload_length,
       replayed_at, discarded_at, log_partition, log_offset
FROM dead_letters
WHERE id = $1
