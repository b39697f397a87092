-- Ends the session of the lease's owner before, unless its lease is somebody else's and still good.
-- pid and start together name a session: a pid alone may be another one's by now.
SELECT leases.owner,
       leases.expires_at > '-infinity' AND leases.owner <> $3 AS is_lapsed,
       CASE WHEN activity.pid IS NOT NULL THEN pg_terminate_backend(activity.pid, 2000) END AS is_ended
FROM leases
LEFT JOIN pg_stat_activity AS activity
  ON activity.pid = leases.backend_pid
 AND activity.backend_start = leases.backend_start
 AND activity.pid <> pg_backend_pid()
WHERE leases.log_id = $1
  AND leases.log_partition = $2
  AND (leases.owner = $3 OR leases.expires_at < now())
