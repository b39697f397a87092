-- Which of these ids are stored with a received_at in [$2, $3).
SELECT event_id FROM events WHERE event_id = ANY ($1) AND received_at >= $2 AND received_at < $3
UNION
SELECT event_id FROM events_late WHERE event_id = ANY ($1) AND received_at >= $2 AND received_at < $3
