-- The event store: events by month, and the books that make capture exactly once.

-- A log is where offsets have a meaning. A log made anew gets another row.
CREATE TABLE logs (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id     uuid NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('embedded', 'kafka')),
    created_at timestamptz NOT NULL
);

CREATE TABLE events (
    received_at        timestamptz NOT NULL,
    event_id           uuid NOT NULL,
    occurred_at        timestamptz NOT NULL,
    accepted_at        timestamptz NOT NULL,
    type               text NOT NULL,
    event              text,
    name               text,
    user_id            text,
    anonymous_id       text,
    group_id           text,
    previous_id        text,
    original_timestamp timestamptz,
    sent_at            timestamptz,
    is_bot             boolean NOT NULL,
    source             text NOT NULL,
    trusted            boolean NOT NULL,
    properties         jsonb,
    traits             jsonb,
    context            jsonb,
    log_id             integer NOT NULL,
    log_partition      integer NOT NULL,
    log_offset         bigint NOT NULL
) PARTITION BY RANGE (received_at);

COMMENT ON TABLE events IS 'One row an event, in monthly partitions by received_at (UTC)';
COMMENT ON COLUMN events.received_at IS 'When momsflow accepted the event; for an import the event''s own time';
COMMENT ON COLUMN events.event_id IS 'The client''s messageId, or derived from it; unique';
COMMENT ON COLUMN events.occurred_at IS 'The client''s time, corrected for the skew of its clock';
COMMENT ON COLUMN events.accepted_at IS 'The true time of acceptance; differs from received_at for imports';
COMMENT ON COLUMN events.type IS 'track, identify, page, screen, group or alias';
COMMENT ON COLUMN events.event IS 'Name of a track event';
COMMENT ON COLUMN events.name IS 'Name of a page or screen';
COMMENT ON COLUMN events.is_bot IS 'By user agent';
COMMENT ON COLUMN events.source IS 'Name of the write key that it came with';
COMMENT ON COLUMN events.trusted IS 'Whether that key was secret then: only a trusted source''s user_id is believed';
COMMENT ON COLUMN events.log_id IS 'The log that the offset belongs to, see logs.id';

CREATE INDEX events_received_at ON events USING brin (received_at);
CREATE INDEX events_user ON events (user_id, occurred_at);
CREATE INDEX events_anonymous ON events (anonymous_id, occurred_at);
CREATE INDEX events_name ON events (event, occurred_at);
CREATE INDEX events_log ON events (log_id, log_partition, log_offset);

-- Rows of months that are no longer open; they become the month's next archive part.
CREATE TABLE events_late (LIKE events INCLUDING COMMENTS);
CREATE UNIQUE INDEX events_late_id ON events_late (event_id);
CREATE INDEX events_late_received_at ON events_late USING brin (received_at);
CREATE INDEX events_late_log ON events_late (log_id, log_partition, log_offset);

CREATE VIEW all_events AS SELECT * FROM events UNION ALL SELECT * FROM events_late;
COMMENT ON VIEW all_events IS 'Events of open months and those that came too late for theirs';

-- A capture transaction holds its months' rows FOR SHARE; sealing takes them FOR UPDATE.
CREATE TABLE months (
    month      date PRIMARY KEY CHECK (month = date_trunc('month', month::timestamp)::date),
    partition  text NOT NULL UNIQUE,
    state      text NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL
);

-- Ids of events that may have a copy in another month; kept while such a copy may still be in flight.
CREATE TABLE event_id_claims (
    event_id   uuid PRIMARY KEY,
    claimed_at timestamptz NOT NULL
);
CREATE INDEX event_id_claims_age ON event_id_claims USING brin (claimed_at);

-- The next offset of each log partition, and what became of every record before it.
CREATE TABLE positions (
    log_id        integer NOT NULL REFERENCES logs (id),
    log_partition integer NOT NULL,
    first_offset  bigint NOT NULL,
    next_offset   bigint NOT NULL,
    stored        bigint NOT NULL DEFAULT 0,
    duplicate     bigint NOT NULL DEFAULT 0,
    dead_letter   bigint NOT NULL DEFAULT 0,
    "foreign"     bigint NOT NULL DEFAULT 0,
    suppressed    bigint NOT NULL DEFAULT 0,
    gap           bigint NOT NULL DEFAULT 0,
    conflict      bigint NOT NULL DEFAULT 0,
    fingerprint   bytea,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (log_id, log_partition),
    CONSTRAINT every_record_is_accounted_for CHECK
        (stored + duplicate + dead_letter + "foreign" + suppressed + gap = next_offset - first_offset)
);
COMMENT ON COLUMN positions.conflict IS 'Duplicates whose content differs from what is stored; part of duplicate';
COMMENT ON COLUMN positions.fingerprint IS 'SHA-256 of the record before next_offset, to notice a log made anew';

-- Who may move a position. epoch rises at each take-over and fences the owner before.
CREATE TABLE leases (
    log_id        integer NOT NULL,
    log_partition integer NOT NULL,
    owner         text NOT NULL,
    epoch         bigint NOT NULL,
    expires_at    timestamptz NOT NULL,
    backend_pid   integer NOT NULL,
    backend_start timestamptz NOT NULL,
    PRIMARY KEY (log_id, log_partition),
    FOREIGN KEY (log_id, log_partition) REFERENCES positions (log_id, log_partition)
);

-- Offsets that the log no longer had when capture came for them.
CREATE TABLE log_gaps (
    log_id        integer NOT NULL REFERENCES logs (id),
    log_partition integer NOT NULL,
    from_offset   bigint NOT NULL,
    to_offset     bigint NOT NULL,
    noticed_at    timestamptz NOT NULL,
    PRIMARY KEY (log_id, log_partition, from_offset)
);

CREATE TABLE dead_letters (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    stage          text NOT NULL CHECK (stage IN ('ingest', 'capture')),
    code           text NOT NULL,
    pointer        text NOT NULL DEFAULT '',
    detail         text NOT NULL,
    source         text,
    event_id       uuid,
    message_id     text,
    trusted        boolean,
    origin         text,
    scope          jsonb,
    payload        bytea NOT NULL,
    payload_length bigint NOT NULL,
    payload_sha256 bytea NOT NULL,
    log_id         integer NOT NULL REFERENCES logs (id),
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL,
    replayed_at    timestamptz,
    discarded_at   timestamptz,
    UNIQUE (log_id, log_partition, log_offset)
);
COMMENT ON TABLE dead_letters IS 'Events that were kept out of the store, whole, with the reason';
COMMENT ON COLUMN dead_letters.stage IS 'ingest: the client''s JSON is the payload; capture: the log record is';
COMMENT ON COLUMN dead_letters.scope IS 'What the request gave the event besides its own text';
COMMENT ON COLUMN dead_letters.discarded_at IS 'When somebody gave it up: the payload is gone, the account stays';
COMMENT ON COLUMN dead_letters.payload_length IS 'Of the whole payload; more than is kept where it was cut';
CREATE INDEX dead_letters_recorded_at ON dead_letters (recorded_at);
CREATE INDEX dead_letters_waiting ON dead_letters (id) WHERE replayed_at IS NULL AND discarded_at IS NULL;

-- Rows really stored, by minute of received_at. One row a log partition, so that captures do not wait for each other.
CREATE TABLE event_minutes (
    minute        timestamptz NOT NULL,
    log_partition integer NOT NULL,
    source        text NOT NULL,
    type          text NOT NULL,
    event         text NOT NULL,
    events        bigint NOT NULL,
    bot_events    bigint NOT NULL,
    PRIMARY KEY (minute, log_partition, source, type, event)
);
COMMENT ON COLUMN event_minutes.event IS 'Name of the event, page or screen; other beyond the cap on names; empty for none';
COMMENT ON COLUMN event_minutes.events IS 'People''s events; bots are counted apart';

-- What events exist and what their properties look like.
CREATE TABLE event_properties (
    source        text NOT NULL,
    type          text NOT NULL,
    event         text NOT NULL,
    property      text NOT NULL,
    json_type     text NOT NULL,
    log_partition integer NOT NULL,
    events        bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (source, type, event, property, json_type, log_partition)
);
COMMENT ON TABLE event_properties IS 'Property keys and JSON types seen; counts are written every few seconds';

-- What each event name has come to. One row a log partition, as above.
CREATE TABLE event_totals (
    source        text NOT NULL,
    type          text NOT NULL,
    event         text NOT NULL,
    log_partition integer NOT NULL,
    events        bigint NOT NULL,
    bot_events    bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (source, type, event, log_partition)
);

CREATE VIEW event_catalog AS
SELECT source, type, event,
       sum(events + bot_events)::bigint AS events,
       min(first_seen_at) AS first_seen_at,
       max(last_seen_at) AS last_seen_at
FROM event_totals
GROUP BY source, type, event;
COMMENT ON VIEW event_catalog IS 'The events that exist: name, source, counts, first and last received (to the minute)';
