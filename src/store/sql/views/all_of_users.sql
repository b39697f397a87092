-- All days of the streams with these user ids.
SELECT anonymous_id, user_id, day, fragments FROM stream_days WHERE user_id = ANY ($1) AND user_id <> ''
