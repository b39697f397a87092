INSERT INTO identity_suppressions AS known (anonymous_id, accepted_from)
SELECT * FROM unnest($1::text[], $2::timestamptz[])
ON CONFLICT (anonymous_id) DO UPDATE
    SET accepted_from = excluded.accepted_from
    WHERE excluded.accepted_from < known.accepted_from
