-- Adds to the counts by minute and to the totals of the catalogue; the arrays are sorted by key.
WITH added AS (
    SELECT *
    FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
             AS added (minute, source, type, event, events, bot_events)
), by_minute AS (
    INSERT INTO event_minutes AS minutes (minute, log_partition, source, type, event, events, bot_events)
    SELECT minute, $1, source, type, event, events, bot_events
    FROM added
    ON CONFLICT (minute, log_partition, source, type, event) DO UPDATE
        SET events = minutes.events + excluded.events, bot_events = minutes.bot_events + excluded.bot_events
)
INSERT INTO event_totals AS totals
    (source, type, event, log_partition, events, bot_events, first_seen_at, last_seen_at)
SELECT source, type, event, $1, sum(events), sum(bot_events), min(minute), max(minute)
FROM added
GROUP BY source, type, event
ON CONFLICT (source, type, event, log_partition) DO UPDATE
    SET events = totals.events + excluded.events,
        bot_events = totals.bot_events + excluded.bot_events,
        first_seen_at = least(totals.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(totals.last_seen_at, excluded.last_seen_at)
