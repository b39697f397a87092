-- Notes a run.
INSERT INTO view_run (kind, started_at, finished_at, as_of, definition_version, shares_of, rows_read, people_touched,
                      rows_changed, unknown_events)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
