UPDATE leases
SET expires_at = now() + make_interval(secs => $4)
WHERE log_id = $1 AND log_partition = $2 AND epoch = $3
