-- How many of these ids are stored, in any month.
SELECT count(DISTINCT event_id) FROM all_events WHERE event_id = ANY ($1)
