-- Moves the marks of partitions.
INSERT INTO marks (log_id, log_partition, next_offset)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[])
ON CONFLICT (log_id, log_partition) DO UPDATE SET next_offset = excluded.next_offset
WHERE marks.next_offset <> excluded.next_offset
