-- Made apart and then attached: ATTACH takes a lighter lock on events than CREATE … PARTITION OF, and the
-- CHECK spares it a scan. The parent's indexes come with it; uniqueness of the id is the partition's own.
CREATE TABLE {partition} (LIKE events INCLUDING ALL);
ALTER TABLE {partition}
    ADD CONSTRAINT {partition}_month CHECK (received_at >= '{from}' AND received_at < '{to}');
CREATE UNIQUE INDEX {partition}_id ON {partition} (event_id);
ALTER TABLE events ATTACH PARTITION {partition} FOR VALUES FROM ('{from}') TO ('{to}');
ALTER TABLE {partition} DROP CONSTRAINT {partition}_month;
