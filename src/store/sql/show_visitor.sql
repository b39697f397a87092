-- Whose the events of an anonymous id are.
SELECT person_user_id AS user_id, count(*) AS events, count(*) FILTER (WHERE is_signed_in) AS signed_in_events,
       min(occurred_at) AS first_event_at, max(occurred_at) AS last_event_at
FROM visitor_events($1)
GROUP BY person_user_id
ORDER BY person_user_id
