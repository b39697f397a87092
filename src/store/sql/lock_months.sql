-- The advisory lock's key is "months" in ASCII; lock_timeout covers it and the DDL that follows.
SET LOCAL lock_timeout = '500ms';
SELECT pg_advisory_xact_lock(x'6d6f6e746873'::bigint)
