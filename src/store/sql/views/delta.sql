-- Events of a log's partition from offset $3 to before $4, at most $5, in order.
SELECT event_id, type, event, user_id, anonymous_id, previous_id, occurred_at, accepted_at, is_bot, source, trusted, log_offset,
       properties::text AS properties, context::text AS context
FROM all_events
WHERE log_id = $1 AND log_partition = $2 AND log_offset >= $3 AND log_offset < $4
ORDER BY log_offset
LIMIT $5
