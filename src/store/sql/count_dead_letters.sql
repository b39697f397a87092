-- Those that wait, by reason; from the index alone.
SELECT code, count(*) AS waiting
FROM dead_letters
WHERE replayed_at IS NULL AND discarded_at IS NULL
GROUP BY code
