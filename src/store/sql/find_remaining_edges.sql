-- What the events that stay say of the pairs: the rule of identity::facts, as in the migration that began the edges.
ANALYZE removed_pairs;
WITH pairs AS (
    SELECT DISTINCT anonymous_id, user_id FROM removed_pairs
), said AS (
    SELECT anonymous_id, user_id, occurred_at, event_id, source,
           CASE type WHEN 'identify' THEN 'identify' ELSE 'event' END AS evidence
    FROM pairs JOIN all_events USING (anonymous_id, user_id)
    WHERE trusted
    UNION ALL
    SELECT pairs.anonymous_id, user_id, occurred_at, event_id, source, 'alias'
    FROM pairs JOIN all_events USING (user_id)
    WHERE trusted AND type = 'alias' AND previous_id = pairs.anonymous_id AND previous_id <> user_id
    UNION ALL
    SELECT pairs.anonymous_id, user_id, occurred_at, event_id, source,
           CASE type WHEN 'identify' THEN 'identify' ELSE 'event' END
    FROM pairs JOIN all_events USING (user_id)
    WHERE trusted AND context ->> 'userprint_state' = 'returned' AND context ->> 'userprint' = pairs.anonymous_id
)
INSERT INTO remaining_edges (anonymous_id, user_id, first_seen_at, last_seen_on, source, evidence, event_id)
SELECT DISTINCT ON (anonymous_id, user_id) anonymous_id, user_id, occurred_at,
       (max(occurred_at) OVER (PARTITION BY anonymous_id, user_id) AT TIME ZONE 'UTC')::date, source, evidence, event_id
FROM said
ORDER BY anonymous_id, user_id, occurred_at, event_id, evidence;
ANALYZE remaining_edges;
