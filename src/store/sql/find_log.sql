SELECT id FROM logs WHERE log_id = $1
