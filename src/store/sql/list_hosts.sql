-- Those that live.
SELECT host, name, extract(epoch FROM expires_at - now())::double precision AS remaining
FROM capture_hosts
WHERE log_id = $1 AND expires_at >= now()
ORDER BY host
