-- Days of the streams with these user ids. $1 ids, $2 days, in pairs. The empty user id is none.
SELECT anonymous_id, user_id, day, fragments
FROM stream_days
JOIN unnest($1::text[], $2::date[]) AS wanted (user_id, day) USING (user_id, day)
WHERE user_id <> ''
