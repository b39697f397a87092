-- A pair is revoked once and for ever; the first word counts.
INSERT INTO identity_revocations (anonymous_id, user_id, revoked_at, reason)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
