WITH gone AS (DELETE FROM capture_hosts WHERE log_id = $1 AND host = $2 RETURNING 1)
SELECT pg_notify('momsflow_leases', '') FROM gone
