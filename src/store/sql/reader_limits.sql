-- Whether the role for dashboards has both of its limits, whatever their values. $1: its name. No row: no such role.
SELECT coalesce(rolconfig::text LIKE '%default_transaction_read_only=on%' AND rolconfig::text LIKE '%statement_timeout=%', false)
FROM pg_roles
WHERE rolname = $1
