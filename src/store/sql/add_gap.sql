INSERT INTO log_gaps (log_id, log_partition, from_offset, to_offset, noticed_at)
VALUES ($1, $2, $3, $4, $5)
