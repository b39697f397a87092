-- The newest dead letters that are still waiting, or also the settled ones ($3).
SELECT id, received_at, stage, code, pointer, detail, source, event_id, payload_length, replayed_at, discarded_at
FROM dead_letters
WHERE ($1::text IS NULL OR code = $1)
  AND ($2::text IS NULL OR source = $2)
  AND ($3 OR (replayed_at IS NULL AND discarded_at IS NULL))
ORDER BY id DESC
LIMIT $4
