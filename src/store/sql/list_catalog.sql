-- The event catalogue, one row a source, type and name, with its properties.
SELECT catalog.source, catalog.type, catalog.event, catalog.events, catalog.first_seen_at, catalog.last_seen_at,
       coalesce(properties.list, '[]'::jsonb) AS properties
FROM event_catalog AS catalog
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('property', property, 'types', types) ORDER BY property) AS list
    FROM (
        SELECT property, jsonb_object_agg(json_type, seen) AS types
        FROM (
            SELECT property, json_type, sum(events) AS seen
            FROM event_properties AS seen
            WHERE seen.source = catalog.source AND seen.type = catalog.type AND seen.event = catalog.event
            GROUP BY property, json_type
        ) AS by_type
        GROUP BY property
    ) AS by_property
) AS properties ON true
WHERE $1::text IS NULL OR catalog.event = $1
ORDER BY catalog.events DESC, catalog.source, catalog.type, catalog.event
