-- Takes the months' rows FOR SHARE: sealing one (FOR UPDATE) waits until the writers of its rows have committed.
SELECT month, partition, state = 'open' AS open
FROM months
WHERE month = ANY ($1)
ORDER BY month
FOR SHARE
