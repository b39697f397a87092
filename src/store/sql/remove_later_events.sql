-- The same for events that were stored since the removal began: by their place in the log, which an index has.
WITH meanwhile AS (
    SELECT positions.log_id, positions.log_partition, coalesce(began.next_offset, positions.first_offset) AS from_offset
    FROM positions
    LEFT JOIN removal_began AS began USING (log_id, log_partition)
), gone AS (
    DELETE FROM events USING meanwhile, months
    WHERE events.log_id = meanwhile.log_id
      AND events.log_partition = meanwhile.log_partition
      AND events.log_offset >= meanwhile.from_offset
      AND events.source = $1
      AND months.month = date_trunc('month', events.received_at AT TIME ZONE 'UTC')::date
      AND months.state = 'open'
    RETURNING events.event_id, events.type, events.anonymous_id, events.user_id, events.previous_id,
              events.context ->> 'userprint' AS userprint
), claims AS (
    DELETE FROM event_id_claims USING gone WHERE event_id_claims.event_id = gone.event_id
), pairs AS (
    INSERT INTO removed_pairs
    SELECT anonymous_id, user_id FROM gone WHERE anonymous_id IS NOT NULL AND user_id IS NOT NULL
    UNION
    SELECT previous_id, user_id FROM gone WHERE type = 'alias' AND previous_id IS NOT NULL AND user_id IS NOT NULL
    UNION
    SELECT userprint, user_id FROM gone WHERE userprint IS NOT NULL AND user_id IS NOT NULL
)
SELECT count(*) FROM gone
