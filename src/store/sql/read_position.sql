-- FOR UPDATE waits for an owner before that is about to commit.
SELECT next_offset, fingerprint
FROM positions
WHERE log_id = $1 AND log_partition = $2
FOR UPDATE
