UPDATE dead_letters SET replayed_at = $2 WHERE id = ANY ($1) AND replayed_at IS NULL
