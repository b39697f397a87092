-- Those that live.
SELECT host, name, process, place, extract(epoch FROM expires_at - now())::double precision AS remaining,
       extract(epoch FROM expires_at)::double precision AS expires_at
FROM capture_hosts
WHERE log_id = $1 AND expires_at >= now()
ORDER BY host
