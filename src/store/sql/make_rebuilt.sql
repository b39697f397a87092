-- Facts that a rebuild is about to write, numbered in the order in which everybody locks pairs.
CREATE TEMP TABLE rebuilt (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    anonymous_id  text NOT NULL,
    user_id       text NOT NULL,
    -- Empty for an edge.
    claimed_by    text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_on  date NOT NULL,
    source        text NOT NULL,
    evidence      text NOT NULL,
    event_id      uuid NOT NULL
)
