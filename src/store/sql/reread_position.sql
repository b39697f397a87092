-- For an owner that has rested: nothing where the lease is another's by now.
SELECT next_offset, fingerprint
FROM positions
WHERE log_id = $1 AND log_partition = $2
  AND EXISTS (SELECT FROM leases WHERE log_id = $1 AND log_partition = $2 AND epoch = $3)
