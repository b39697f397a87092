DELETE FROM event_id_claims WHERE claimed_at < $1
