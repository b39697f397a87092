INSERT INTO event_properties AS known
    (source, type, event, property, json_type, log_partition, events, first_seen_at, last_seen_at)
SELECT source, type, event, property, json_type, $1, events, $2, $2
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
         AS added (source, type, event, property, json_type, events)
ON CONFLICT (source, type, event, property, json_type, log_partition) DO UPDATE
    SET events = known.events + excluded.events, last_seen_at = excluded.last_seen_at
