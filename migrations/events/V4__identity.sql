-- Who is who: facts that capture takes from events, in the transaction that stores them. See docs/identity.md.

-- What clients send where they know no id, as event::is_placeholder has it, but for blanks beyond ASCII; a test compares the two.
CREATE FUNCTION names_nobody(id text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT id IS NULL OR lower(btrim(id, E' \t\n\013\f\r') COLLATE "C") IN
        ('', 'null', 'undefined', 'nil', 'none', 'nan', '0', '-1', 'guest', 'anonymous', 'anon', 'unknown', '[object object]', '{}',
         '[]', '""', '''''', 'true', 'false', 'n/a', 'na', '-', 'not set', '(not set)', 'unset', 'empty', 'user_id', 'userid',
         'anonymous_id', '00000000-0000-0000-0000-000000000000', '00000000000000000000000000000000')
$$;
COMMENT ON FUNCTION names_nobody IS 'Whether an id is what clients send where they know none, such as null or undefined';

-- first_seen_at only falls and last_seen_on only rises, in whatever order events come.
CREATE TABLE identity_edges (
    edge_id       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    anonymous_id  text NOT NULL,
    user_id       text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_on  date NOT NULL,
    source        text NOT NULL,
    evidence      text NOT NULL CHECK (evidence IN ('identify', 'alias', 'event')),
    event_id      uuid NOT NULL,
    PRIMARY KEY (anonymous_id, user_id)
);
CREATE INDEX identity_edges_user ON identity_edges (user_id);
COMMENT ON TABLE identity_edges IS 'A trusted source said that this anonymous id was this user''s; revoked ones too, see identity_links';
COMMENT ON COLUMN identity_edges.edge_id IS 'For momsflow identity revoke';
COMMENT ON COLUMN identity_edges.first_seen_at IS 'When the first event occurred that says so';
COMMENT ON COLUMN identity_edges.last_seen_on IS 'Day (UTC) on which the last one occurred';
COMMENT ON COLUMN identity_edges.source IS 'Source of the first event that says so';
COMMENT ON COLUMN identity_edges.evidence IS 'What that event was: identify; alias, by its previousId; event, any other with both ids';
COMMENT ON COLUMN identity_edges.event_id IS 'That event';

CREATE TABLE identity_claims (
    anonymous_id  text NOT NULL,
    user_id       text NOT NULL,
    source        text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_on  date NOT NULL,
    evidence      text NOT NULL CHECK (evidence IN ('identify', 'alias', 'event')),
    event_id      uuid NOT NULL,
    PRIMARY KEY (anonymous_id, user_id, source)
);
CREATE INDEX identity_claims_user ON identity_claims (user_id);
COMMENT ON TABLE identity_claims IS 'The same, said by a source that is not trusted: it joins nothing, and is kept to be looked at';

CREATE TABLE identity_revocations (
    anonymous_id text NOT NULL,
    user_id      text NOT NULL,
    revoked_at   timestamptz NOT NULL,
    reason       text,
    PRIMARY KEY (anonymous_id, user_id)
);
COMMENT ON TABLE identity_revocations IS 'Pairs that are not to be joined, whatever events say, before or after';

CREATE TABLE identity_suppressions (
    seq           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    anonymous_id  text PRIMARY KEY,
    accepted_from timestamptz NOT NULL
);
COMMENT ON TABLE identity_suppressions IS 'Anonymous ids that are to be forgotten';
COMMENT ON COLUMN identity_suppressions.seq IS 'Rises in the order of the commits, so that captures read only what is new';
COMMENT ON COLUMN identity_suppressions.accepted_from IS 'What was accepted after this is not stored';

CREATE VIEW identity_links AS
SELECT edge_id, anonymous_id, user_id, first_seen_at, last_seen_on, source, evidence, event_id, revoked_at, reason
FROM identity_edges LEFT JOIN identity_revocations USING (anonymous_id, user_id);
COMMENT ON VIEW identity_links IS 'Edges, and which of them are revoked';

CREATE VIEW identity_visitors AS
SELECT anonymous_id,
       CASE WHEN count(*) = 1 THEN min(user_id) END AS user_id,
       count(*) AS users,
       count(*) > 1 AS is_shared
FROM identity_links
WHERE revoked_at IS NULL
GROUP BY anonymous_id;
COMMENT ON VIEW identity_visitors IS 'Anonymous ids that are known to be users'': whose, and whether several share one';

-- identity::resolve has the rules and their reasons; a test compares the two.
CREATE FUNCTION visitor_events(visitor text, without_user text DEFAULT NULL)
    RETURNS TABLE (received_at timestamptz, event_id uuid, occurred_at timestamptz, is_signed_in boolean, person_user_id text)
    LANGUAGE sql STABLE AS $$
    WITH seen AS (
        SELECT received_at, event_id, occurred_at,
               CASE WHEN trusted AND NOT names_nobody(user_id) THEN user_id END AS signed_in,
               occurred_at - lag(occurred_at) OVER by_time > interval '30 minutes' AS begins
        FROM all_events
        WHERE anonymous_id = visitor AND NOT names_nobody(anonymous_id)
        WINDOW by_time AS (ORDER BY occurred_at, event_id)
    ), in_sessions AS (
        SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY occurred_at, event_id) AS session
        FROM seen
    ), with_users AS (
        SELECT *, min(signed_in) OVER in_session AS one_user, max(signed_in) OVER in_session AS other_user
        FROM in_sessions
        WINDOW in_session AS (PARTITION BY session)
    ), live AS MATERIALIZED (
        SELECT coalesce(array_agg(user_id), '{}') AS users
        FROM identity_links
        WHERE anonymous_id = visitor AND revoked_at IS NULL AND user_id IS DISTINCT FROM without_user
    )
    SELECT received_at, event_id, occurred_at, signed_in IS NOT NULL,
           coalesce(signed_in, CASE
               WHEN cardinality(users) = 1 THEN users[1]
               WHEN one_user = other_user AND one_user = ANY (users) THEN one_user
           END)
    FROM with_users, live
$$;
COMMENT ON FUNCTION visitor_events IS
    'The events of an anonymous id and whose each is: the user''s, or null for the visitor''s own. without_user: as if that user were revoked';

CREATE FUNCTION person_events(person text) RETURNS SETOF all_events LANGUAGE sql STABLE AS $$
    SELECT e.*
    FROM all_events e
    WHERE e.user_id = person AND e.trusted AND NOT names_nobody(e.user_id)
    UNION ALL
    SELECT e.*
    FROM identity_links l
         CROSS JOIN LATERAL visitor_events(l.anonymous_id) v
         JOIN all_events e ON e.received_at = v.received_at AND e.event_id = v.event_id
    WHERE l.user_id = person AND l.revoked_at IS NULL AND v.person_user_id = person AND NOT v.is_signed_in
$$;
COMMENT ON FUNCTION person_events IS 'All events of a user, those from before the log-in too';

-- What was stored before there were edges.
WITH facts AS (
    SELECT anonymous_id, user_id, occurred_at, event_id, source, trusted,
           CASE type WHEN 'identify' THEN 'identify' ELSE 'event' END AS evidence
    FROM all_events
    UNION ALL
    SELECT previous_id, user_id, occurred_at, event_id, source, trusted, 'alias'
    FROM all_events
    WHERE type = 'alias' AND previous_id <> user_id
    UNION ALL
    SELECT context ->> 'userprint', user_id, occurred_at, event_id, source, trusted,
           CASE type WHEN 'identify' THEN 'identify' ELSE 'event' END
    FROM all_events
    WHERE context ->> 'userprint_state' = 'returned' AND anonymous_id IS DISTINCT FROM context ->> 'userprint'
), said AS (
    SELECT *
    FROM facts
    WHERE NOT names_nobody(anonymous_id) AND NOT names_nobody(user_id) AND anonymous_id NOT LIKE 'request-%'
), edges AS (
    INSERT INTO identity_edges (anonymous_id, user_id, first_seen_at, last_seen_on, source, evidence, event_id)
    SELECT DISTINCT ON (anonymous_id, user_id) anonymous_id, user_id, occurred_at,
           (max(occurred_at) OVER (PARTITION BY anonymous_id, user_id) AT TIME ZONE 'UTC')::date, source, evidence, event_id
    FROM said
    WHERE trusted
    ORDER BY anonymous_id, user_id, occurred_at, event_id, evidence
)
INSERT INTO identity_claims (anonymous_id, user_id, source, first_seen_at, last_seen_on, evidence, event_id)
SELECT DISTINCT ON (anonymous_id, user_id, source) anonymous_id, user_id, source, occurred_at,
       (max(occurred_at) OVER (PARTITION BY anonymous_id, user_id, source) AT TIME ZONE 'UTC')::date, evidence, event_id
FROM said
WHERE NOT trusted
ORDER BY anonymous_id, user_id, source, occurred_at, event_id, evidence;

INSERT INTO identity_suppressions (anonymous_id, accepted_from)
SELECT anonymous_id, min(accepted_at)
FROM all_events
WHERE event = 'Userprint Forgotten' AND context ->> 'userprint_state' = 'forgotten' AND NOT trusted AND anonymous_id IS NOT NULL
GROUP BY anonymous_id;
