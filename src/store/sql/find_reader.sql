SELECT coalesce(rolconfig @> ARRAY['default_transaction_read_only=on'], false)
       AND EXISTS (SELECT FROM unnest(rolconfig) AS setting WHERE setting LIKE 'statement\_timeout=%') AS is_limited
FROM pg_roles
WHERE rolname = $1
