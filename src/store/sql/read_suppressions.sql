SELECT seq, anonymous_id FROM identity_suppressions WHERE seq > $1 ORDER BY seq LIMIT $2
