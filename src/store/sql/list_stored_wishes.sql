-- Visitors whose wish to be forgotten was stored and did not come onto the list, and since when it holds.
SELECT anonymous_id, min(e.accepted_at) AS accepted_from
FROM all_events e LEFT JOIN identity_suppressions s USING (anonymous_id)
WHERE event = 'Userprint Forgotten' AND context ->> 'userprint_state' = 'forgotten' AND NOT trusted
      AND anonymous_id IS NOT NULL
GROUP BY anonymous_id, s.accepted_from
HAVING (min(e.accepted_at) < s.accepted_from) IS NOT FALSE
ORDER BY anonymous_id COLLATE "C"
