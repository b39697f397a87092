-- What readers like on the average, over the 90 days before $1.
WITH weights AS (
    SELECT 'topic' AS kind, topic AS name, sum(weight) AS weight FROM topic_day WHERE day < $1 AND day >= $1 - 90 GROUP BY topic
    UNION ALL
    SELECT 'author', author, sum(weight) FROM author_day WHERE day < $1 AND day >= $1 - 90 GROUP BY author
)
INSERT INTO shares (kind, name, share)
SELECT kind, name, (weight / sum(weight) OVER (PARTITION BY kind))::double precision
FROM weights
WHERE weight > 0
