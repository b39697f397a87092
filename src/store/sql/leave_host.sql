-- Not what another process ($3) keeps under the same id.
WITH gone AS (
    DELETE FROM capture_hosts WHERE log_id = $1 AND host = $2 AND (process IS NULL OR process = $3) RETURNING 1
)
SELECT pg_notify('momsflow_leases', '') FROM gone
