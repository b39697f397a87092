-- The totals of a source, of its counts by minute.
INSERT INTO event_totals (source, type, event, log_partition, events, bot_events, first_seen_at, last_seen_at)
SELECT source, type, event, log_partition, sum(events), sum(bot_events), min(minute), max(minute)
FROM event_minutes
WHERE source = $1
GROUP BY source, type, event, log_partition
