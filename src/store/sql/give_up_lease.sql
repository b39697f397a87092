-- The backend is no longer the lease's: the next owner must not end it. The others hear of it at once.
WITH free AS (
    UPDATE leases
    SET expires_at = '-infinity', backend_pid = 0
    WHERE log_id = $1 AND log_partition = $2 AND epoch = $3
    RETURNING 1
)
SELECT pg_notify('momsflow_leases', '') FROM free
