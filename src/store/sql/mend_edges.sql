-- Edges of which other events speak as well keep their number.
UPDATE identity_edges AS edges
SET first_seen_at = remaining.first_seen_at, last_seen_on = remaining.last_seen_on, source = remaining.source,
    evidence = remaining.evidence, event_id = remaining.event_id
FROM remaining_edges AS remaining
WHERE edges.anonymous_id = remaining.anonymous_id AND edges.user_id = remaining.user_id
