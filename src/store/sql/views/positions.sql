-- How far capture has come in each partition of each log.
SELECT logs.id, logs.log_id, log_partition, next_offset
FROM positions JOIN logs ON logs.id = positions.log_id
ORDER BY logs.id, log_partition
