-- The anonymous ids that are, or were, joined to these users.
SELECT anonymous_id, user_id, is_revoked FROM links WHERE user_id = ANY ($1)
