INSERT INTO positions (log_id, log_partition, first_offset, next_offset, updated_at)
VALUES ($1, $2, $3, $3, $4)
ON CONFLICT DO NOTHING
