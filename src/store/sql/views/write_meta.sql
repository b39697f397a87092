-- Notes what the states are made by.
INSERT INTO meta (definition_version, zone, shares_of) VALUES ($1, $2, $3)
ON CONFLICT (is_only) DO UPDATE
SET definition_version = excluded.definition_version, zone = excluded.zone, shares_of = excluded.shares_of
