-- The links of an id, on either side; joined_events: the events without a user that each gives to its user.
WITH picked AS (
    SELECT *, count(*) OVER () AS total
    FROM identity_links
    WHERE anonymous_id = $1 OR user_id = $1
    ORDER BY first_seen_at, edge_id
    LIMIT $2
), visitors AS MATERIALIZED (
    SELECT anonymous_id,
           (SELECT count(*) FROM identity_links l WHERE l.anonymous_id = p.anonymous_id AND l.revoked_at IS NULL) AS users
    FROM (SELECT DISTINCT anonymous_id FROM picked) p
), joined AS MATERIALIZED (
    SELECT anonymous_id, person_user_id AS user_id, count(*) AS joined_events
    FROM visitors CROSS JOIN LATERAL visitor_events(anonymous_id)
    WHERE NOT is_signed_in
    GROUP BY anonymous_id, person_user_id
)
SELECT picked.*, coalesce(joined_events, 0) AS joined_events, users > 1 AS is_shared,
       evidence = 'alias' AND (EXISTS (SELECT FROM identity_edges e WHERE e.user_id = picked.anonymous_id)
           OR EXISTS (SELECT FROM events e WHERE e.user_id = picked.anonymous_id AND e.trusted)) AS names_two_users
FROM picked JOIN visitors USING (anonymous_id) LEFT JOIN joined USING (anonymous_id, user_id)
ORDER BY first_seen_at, edge_id
