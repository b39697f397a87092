-- The counts of open months go with their events; what is left, in closed months, is what the totals are made of anew.
WITH gone AS (
    DELETE FROM event_minutes
    WHERE source = $1
      AND EXISTS (
          SELECT FROM months
          WHERE months.month = date_trunc('month', minute AT TIME ZONE 'UTC')::date AND months.state = 'open'
      )
), totals AS (
    DELETE FROM event_totals WHERE source = $1
)
SELECT coalesce(sum(events + bot_events), 0)::bigint
FROM event_minutes
WHERE source = $1
  AND NOT EXISTS (
      SELECT FROM months
      WHERE months.month = date_trunc('month', minute AT TIME ZONE 'UTC')::date AND months.state = 'open'
  )
