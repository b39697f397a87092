-- What the copy is made by: this definition and zone, and the averages of the live tables.
INSERT INTO views_copy.meta (definition_version, zone, shares_of)
SELECT $1, $2, (SELECT shares_of FROM state.meta)
