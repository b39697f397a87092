-- Takes the lease if it is free, expired or the caller's own; otherwise says who holds it.
WITH me AS (
    SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
), taken AS (
    INSERT INTO leases AS held (log_id, log_partition, owner, epoch, expires_at, backend_pid, backend_start)
    SELECT $1, $2, $3, 1, now() + make_interval(secs => $4), me.pid, me.backend_start FROM me
    ON CONFLICT (log_id, log_partition) DO UPDATE
        SET owner = excluded.owner, epoch = held.epoch + 1, expires_at = excluded.expires_at,
            backend_pid = excluded.backend_pid, backend_start = excluded.backend_start,
            take_overs = held.take_overs
                + (held.owner <> excluded.owner AND held.expires_at > '-infinity')::integer
        WHERE held.owner = excluded.owner OR held.expires_at < now()
    RETURNING epoch
)
SELECT (SELECT epoch FROM taken) AS epoch,
       CASE WHEN NOT EXISTS (SELECT FROM taken)
            THEN (SELECT owner FROM leases WHERE log_id = $1 AND log_partition = $2) END AS holder
