-- DO UPDATE instead of DO NOTHING, so that a row comes back either way.
INSERT INTO logs (log_id, kind, created_at)
VALUES ($1, $2, $3)
ON CONFLICT (log_id) DO UPDATE SET kind = excluded.kind
RETURNING id
