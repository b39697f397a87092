-- The advisory lock's key is "months" in ASCII; lock_timeout covers it and the DDL that follows. A process that is frozen
-- in between must not hold up the months of all others.
SET LOCAL lock_timeout = '500ms';
SET LOCAL idle_in_transaction_session_timeout = '10s';
SELECT pg_advisory_xact_lock(x'6d6f6e746873'::bigint)
