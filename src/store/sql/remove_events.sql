-- Removes a source's ($1) events of a month ($2, its first day) with the claims of their ids, those of events_late too,
-- and notes the pairs that identity::facts finds in them.
WITH gone AS (
    DELETE FROM events
    WHERE source = $1
      AND received_at >= $2::date::timestamp AT TIME ZONE 'UTC'
      AND received_at < ($2::date + interval '1 month') AT TIME ZONE 'UTC'
    RETURNING event_id, type, anonymous_id, user_id, previous_id, context ->> 'userprint' AS userprint
), late AS (
    DELETE FROM events_late
    WHERE source = $1
      AND received_at >= $2::date::timestamp AT TIME ZONE 'UTC'
      AND received_at < ($2::date + interval '1 month') AT TIME ZONE 'UTC'
    RETURNING event_id, type, anonymous_id, user_id, previous_id, context ->> 'userprint' AS userprint
), removed AS (
    SELECT * FROM gone UNION ALL SELECT * FROM late
), claims AS (
    DELETE FROM event_id_claims USING removed WHERE event_id_claims.event_id = removed.event_id
), pairs AS (
    INSERT INTO removed_pairs
    SELECT anonymous_id, user_id FROM removed WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL
    UNION
    SELECT previous_id, user_id FROM removed WHERE type = 'alias' AND previous_id IS NOT NULL AND user_id IS NOT NULL
    UNION
    SELECT userprint, user_id FROM removed WHERE userprint IS NOT NULL AND user_id IS NOT NULL
)
SELECT count(*) FROM removed
