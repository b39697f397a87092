-- The row stays, since the account of the log counts it; the payload goes.
UPDATE dead_letters
SET discarded_at = $4, payload = ''
WHERE (cardinality($1::bigint[]) = 0 OR id = ANY ($1))
  AND ($2::text IS NULL OR code = $2)
  AND ($3::text IS NULL OR source = $3)
  AND replayed_at IS NULL AND discarded_at IS NULL
