SELECT *, count(*) OVER () AS total
FROM identity_claims
WHERE anonymous_id = $1 OR user_id = $1
ORDER BY first_seen_at, anonymous_id, user_id, source
LIMIT $2
