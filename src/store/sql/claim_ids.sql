-- Claims the ids of events that may have a copy in another month. What does not come back is claimed already.
-- $1 is sorted, so that two captures lock in the same order.
INSERT INTO event_id_claims (event_id, claimed_at)
SELECT unnest($1::uuid[]), $2
ON CONFLICT DO NOTHING
RETURNING event_id
