-- Persons whose row changes by time alone until the day $1, at most $2.
SELECT is_user, id FROM people WHERE next_change <= $1 ORDER BY next_change, person_id LIMIT $2
