-- Which events of an anonymous id ($1) go from whom to whom when a user's ($2) edge is revoked.
SELECT before.person_user_id AS "from", after.person_user_id AS "to", count(*) AS events
FROM visitor_events($1) before
     JOIN visitor_events($1, $2) after USING (received_at, event_id)
WHERE before.person_user_id IS DISTINCT FROM after.person_user_id
GROUP BY before.person_user_id, after.person_user_id
ORDER BY before.person_user_id, after.person_user_id
