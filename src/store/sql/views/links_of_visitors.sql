-- The users to whom these anonymous ids are, or were, joined.
SELECT anonymous_id, user_id, is_revoked FROM links WHERE anonymous_id = ANY ($1)
