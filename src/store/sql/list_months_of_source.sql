-- How many events of a source there are by month, as the counts by minute have it, and whether the month may change.
SELECT counted.month, counted.events, coalesce(months.state = 'open', false) AS open
FROM (
    SELECT date_trunc('month', minute AT TIME ZONE 'UTC')::date AS month, sum(events + bot_events)::bigint AS events
    FROM event_minutes
    WHERE source = $1
    GROUP BY 1
) AS counted
LEFT JOIN months USING (month)
ORDER BY counted.month
