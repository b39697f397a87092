-- Adds to the minute counts; the arrays are sorted by key.
INSERT INTO event_minutes AS minutes (minute, log_partition, source, type, event, events, bot_events)
SELECT minute, $1, source, type, event, events, bot_events
FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
         AS added (minute, source, type, event, events, bot_events)
ON CONFLICT (minute, log_partition, source, type, event) DO UPDATE
    SET events = minutes.events + excluded.events, bot_events = minutes.bot_events + excluded.bot_events
