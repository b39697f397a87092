-- Waiting dead letters with their payload, in the order they came, after an id ($4) and up to one ($6).
SELECT id, received_at, stage, code, pointer, detail, source, event_id, message_id, trusted, origin, scope, payload, payload_length
FROM dead_letters
WHERE (cardinality($1::bigint[]) = 0 OR id = ANY ($1))
  AND ($2::text IS NULL OR code = $2)
  AND ($3::text IS NULL OR source = $3)
  AND id > $4 AND id <= $6
  AND replayed_at IS NULL AND discarded_at IS NULL
ORDER BY id
LIMIT $5
