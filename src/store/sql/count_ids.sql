-- How many of these ids are stored, in any month; and how many of them as history that was accepted since a time.
-- What comes live is received when it is accepted.
SELECT count(DISTINCT event_id),
       count(DISTINCT event_id) FILTER (WHERE accepted_at >= $2 AND accepted_at <> received_at)
FROM all_events
WHERE event_id = ANY ($1)
