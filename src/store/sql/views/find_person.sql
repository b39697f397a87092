-- The person of an id: a user's, else that of an anonymous id (its own, else its only user's), else a person id.
WITH owner AS (
    SELECT min(user_id) AS user_id FROM links WHERE anonymous_id = $1 AND NOT is_revoked HAVING count(*) = 1
), found AS (
    SELECT people.*, 1 AS place FROM people WHERE is_user AND id = $1
    UNION ALL SELECT people.*, 2 FROM people WHERE NOT is_user AND id = $1
    UNION ALL SELECT people.*, 3 FROM people JOIN owner ON is_user AND id = owner.user_id
    UNION ALL SELECT people.*, 4 FROM people WHERE person_id::text = lower($1)
)
SELECT is_user, id, state, viewed_on,
       CASE WHEN is_user THEN (SELECT count(*) FROM links WHERE user_id = found.id AND NOT is_revoked) ELSE 1 END AS anonymous_ids
FROM found
ORDER BY place
LIMIT 1
