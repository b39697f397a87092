-- Days of the streams with these anonymous ids. $1 ids, $2 days, in pairs.
SELECT anonymous_id, user_id, day, fragments
FROM stream_days
JOIN unnest($1::text[], $2::date[]) AS wanted (anonymous_id, day) USING (anonymous_id, day)
