-- The newest, with the counts of all.
SELECT logs.log_id, log_partition, from_offset, to_offset, noticed_at,
       count(*) OVER () AS gaps, (sum(to_offset - from_offset) OVER ())::bigint AS records
FROM log_gaps
JOIN logs ON logs.id = log_gaps.log_id
ORDER BY noticed_at DESC, log_partition
LIMIT 20
