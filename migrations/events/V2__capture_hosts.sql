-- The capture hosts that live, by the clock of this database. Each reads here how many there are, and so its fair share
-- of the log's partitions.
CREATE TABLE capture_hosts (
    log_id     integer NOT NULL REFERENCES logs (id),
    host       text NOT NULL,
    name       text NOT NULL,
    joined_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (log_id, host)
);
COMMENT ON COLUMN capture_hosts.host IS 'The id of its data dir, as in leases.owner';
COMMENT ON COLUMN capture_hosts.name IS 'For people: host name and process id';

ALTER TABLE leases ADD COLUMN take_overs bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN leases.take_overs IS 'How often the owner before had let it expire, instead of giving it up';
