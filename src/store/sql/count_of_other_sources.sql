SELECT coalesce(sum(events), 0)::bigint FROM event_catalog WHERE source <> $1
