UPDATE leases
SET expires_at = '-infinity'
WHERE log_id = $1 AND log_partition = $2 AND epoch = $3
