SELECT l.*, 0::bigint AS joined_events, false AS is_shared, false AS names_two_users
FROM identity_links l
WHERE edge_id = $1
