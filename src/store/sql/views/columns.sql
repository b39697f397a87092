-- The columns of a table, as a list, without $3 and without the day on which a state was looked at.
SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
FROM information_schema.columns
WHERE table_schema = $1 AND table_name = $2 AND column_name <> $3 AND column_name <> 'viewed_on'
