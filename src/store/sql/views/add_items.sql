-- Adds what events say of content; of each thing the last word counts, whatever the order.
INSERT INTO items (content_id, content_type, title, author, topics, language, word_count, is_available, published_at,
                   first_seen_at, last_seen_at, told_at, told_by, available_at)
SELECT content_id, content_type, title, author, string_to_array(topics, E'\x1f'), language, word_count, is_available,
       published_at, first_seen_at, last_seen_at, told_at, told_by, available_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[],
            $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::uuid[], $14::timestamptz[])
     AS t (content_id, content_type, title, author, topics, language, word_count, is_available, published_at, first_seen_at,
           last_seen_at, told_at, told_by, available_at)
ON CONFLICT (content_id) DO UPDATE SET
    content_type = CASE WHEN (excluded.told_at, excluded.told_by) > (items.told_at, items.told_by) THEN excluded.content_type ELSE items.content_type END,
    title = CASE WHEN (excluded.told_at, excluded.told_by) > (items.told_at, items.told_by) THEN excluded.title ELSE items.title END,
    author = CASE WHEN (excluded.told_at, excluded.told_by) > (items.told_at, items.told_by) THEN excluded.author ELSE items.author END,
    topics = CASE WHEN (excluded.told_at, excluded.told_by) > (items.told_at, items.told_by) THEN excluded.topics ELSE items.topics END,
    language = CASE WHEN (excluded.told_at, excluded.told_by) > (items.told_at, items.told_by) THEN excluded.language ELSE items.language END,
    word_count = CASE WHEN (excluded.told_at, excluded.told_by) > (items.told_at, items.told_by) THEN excluded.word_count ELSE items.word_count END,
    (told_at, told_by) = (SELECT * FROM (VALUES (excluded.told_at, excluded.told_by), (items.told_at, items.told_by)) AS v (at, by) ORDER BY at DESC, by DESC LIMIT 1),
    is_available = CASE WHEN (excluded.available_at, excluded.is_available) > (items.available_at, items.is_available) THEN excluded.is_available ELSE items.is_available END,
    available_at = greatest(excluded.available_at, items.available_at),
    published_at = least(excluded.published_at, items.published_at),
    first_seen_at = least(excluded.first_seen_at, items.first_seen_at),
    last_seen_at = greatest(excluded.last_seen_at, items.last_seen_at)
