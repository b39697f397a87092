-- All days of the streams with these anonymous ids.
SELECT anonymous_id, user_id, day, fragments FROM stream_days WHERE anonymous_id = ANY ($1)
