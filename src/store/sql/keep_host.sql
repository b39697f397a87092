-- Says that a host lives (unless it is leaving, $5), and renews all its leases at once. One that has another epoch by
-- now is somebody else's; one that a worker has just given up stays so. Hosts that are long gone are cleared away.
-- The row of another process ($8) with the same id is taken only when that one is silent, or surely dead: it had the
-- same data dir, and this process has just started ($10).
WITH forgotten AS (
    DELETE FROM capture_hosts WHERE expires_at < now() - interval '1 day' AND host <> $2
), present AS (
    INSERT INTO capture_hosts AS kept (log_id, host, name, joined_at, expires_at, process, place)
    SELECT $1, $2, $3, now(), now() + make_interval(secs => $4), $8, $9
    WHERE NOT $5::boolean
    ON CONFLICT (log_id, host) DO UPDATE
        SET name = excluded.name, expires_at = excluded.expires_at, process = excluded.process, place = excluded.place
        WHERE kept.process IS NULL OR kept.process = excluded.process OR kept.expires_at < now()
           OR ($10::boolean AND kept.place = excluded.place)
)
UPDATE leases
SET expires_at = now() + make_interval(secs => $4)
FROM unnest($6::integer[], $7::bigint[]) AS held (log_partition, epoch)
WHERE leases.log_id = $1 AND leases.log_partition = held.log_partition AND leases.epoch = held.epoch
  AND leases.expires_at > '-infinity'
