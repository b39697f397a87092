-- The events that name a user themselves: those to be believed, and those that anybody could have sent.
SELECT count(*) FILTER (WHERE trusted) AS events,
       min(occurred_at) FILTER (WHERE trusted) AS first_event_at,
       max(occurred_at) FILTER (WHERE trusted) AS last_event_at,
       count(*) FILTER (WHERE NOT trusted) AS claimed_events
FROM all_events
WHERE user_id = $1 AND NOT names_nobody(user_id)
