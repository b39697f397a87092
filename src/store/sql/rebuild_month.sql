-- What the events of $1 to $2 say of who is who, as far as it is not written yet. As identity::facts has it, and as the
-- migration did for what was stored before it; a test compares them.
INSERT INTO rebuilt (anonymous_id, user_id, claimed_by, first_seen_at, last_seen_on, source, evidence, event_id)
WITH stored AS (
    SELECT *
    FROM all_events
    WHERE received_at >= $1 AND received_at < $2 AND user_id IS NOT NULL
), facts AS (
    SELECT anonymous_id, user_id, occurred_at, event_id, source, trusted,
           CASE type WHEN 'identify' THEN 'identify' ELSE 'event' END AS evidence
    FROM stored
    UNION ALL
    SELECT previous_id, user_id, occurred_at, event_id, source, trusted, 'alias'
    FROM stored
    WHERE type = 'alias' AND previous_id <> user_id
    UNION ALL
    SELECT context ->> 'userprint', user_id, occurred_at, event_id, source, trusted,
           CASE type WHEN 'identify' THEN 'identify' ELSE 'event' END
    FROM stored
    WHERE context ->> 'userprint_state' = 'returned' AND anonymous_id IS DISTINCT FROM context ->> 'userprint'
), said AS (
    SELECT *, CASE WHEN trusted THEN '' ELSE source END AS claimed_by
    FROM facts
    WHERE NOT names_nobody(anonymous_id) AND NOT names_nobody(user_id) AND anonymous_id NOT LIKE 'request-%'
), pairs AS (
    SELECT DISTINCT ON (anonymous_id, user_id, claimed_by) anonymous_id, user_id, claimed_by, occurred_at AS first_seen_at,
           (max(occurred_at) OVER (PARTITION BY anonymous_id, user_id, claimed_by) AT TIME ZONE 'UTC')::date AS last_seen_on,
           source, evidence, event_id
    FROM said
    ORDER BY anonymous_id, user_id, claimed_by, occurred_at, event_id, evidence
), known AS (
    SELECT anonymous_id, user_id, '' AS claimed_by, first_seen_at, last_seen_on, event_id FROM identity_edges
    UNION ALL
    SELECT anonymous_id, user_id, source, first_seen_at, last_seen_on, event_id FROM identity_claims
)
SELECT anonymous_id, user_id, claimed_by, p.first_seen_at, p.last_seen_on, p.source, p.evidence, p.event_id
FROM pairs p LEFT JOIN known k USING (anonymous_id, user_id, claimed_by)
-- Null where the pair is not written.
WHERE ((p.first_seen_at, p.event_id) < (k.first_seen_at, k.event_id) OR p.last_seen_on > k.last_seen_on) IS NOT FALSE
ORDER BY anonymous_id COLLATE "C", user_id COLLATE "C", claimed_by COLLATE "C"
