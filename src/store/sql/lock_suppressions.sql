-- Who adds to the list commits before the next one takes a number, so that numbers rise in the order of the commits.
-- Taken before all else, so that nobody waits for it with locks of its own.
SELECT pg_advisory_xact_lock(hashtext('identity_suppressions'))
