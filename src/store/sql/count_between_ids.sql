-- How many events of a source have an id in [$2, $3].
SELECT count(*) FROM all_events WHERE event_id BETWEEN $2 AND $3 AND source = $1
