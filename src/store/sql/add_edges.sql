-- Adds what was seen of pairs of ids; the arrays are sorted by pair, so that captures lock in the same order.
INSERT INTO identity_edges AS known
    (anonymous_id, user_id, first_seen_at, last_seen_on, source, evidence, event_id)
SELECT *
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::date[], $5::text[], $6::text[], $7::uuid[])
ON CONFLICT (anonymous_id, user_id) DO UPDATE
    SET (first_seen_at, event_id, source, evidence) = (
            SELECT *
            FROM (VALUES (known.first_seen_at, known.event_id, known.source, known.evidence),
                         (excluded.first_seen_at, excluded.event_id, excluded.source, excluded.evidence)) AS either (at, id)
            ORDER BY at, id
            LIMIT 1
        ),
        last_seen_on = greatest(known.last_seen_on, excluded.last_seen_on)
    WHERE (excluded.first_seen_at, excluded.event_id) < (known.first_seen_at, known.event_id)
       OR excluded.last_seen_on > known.last_seen_on
