-- Moves a position and renews its lease, only for the lease's owner and only from where it thinks the position is.
-- Runs last in the transaction, so that the lease's row is locked for moments only.
WITH held AS (
    UPDATE leases
    SET expires_at = now() + make_interval(secs => $5)
    WHERE log_id = $1 AND log_partition = $2 AND epoch = $3
    RETURNING 1
)
UPDATE positions
SET next_offset = $6,
    stored = stored + $7,
    duplicate = duplicate + $8,
    dead_letter = dead_letter + $9,
    "foreign" = "foreign" + $10,
    suppressed = suppressed + $11,
    gap = gap + $12,
    conflict = conflict + $13,
    fingerprint = coalesce($14, fingerprint),
    updated_at = $15
WHERE log_id = $1 AND log_partition = $2 AND next_offset = $4 AND EXISTS (SELECT FROM held)
