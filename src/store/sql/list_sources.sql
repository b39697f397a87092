-- The names that events are stored with.
SELECT DISTINCT source FROM event_totals ORDER BY source
