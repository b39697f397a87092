INSERT INTO months (month, partition, created_at)
VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
