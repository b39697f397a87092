-- Two processes with one host's id are noticed: a data dir was copied, and both would take each other's leases for ever.
ALTER TABLE capture_hosts ADD COLUMN process uuid, ADD COLUMN place text;
COMMENT ON COLUMN capture_hosts.process IS 'Made anew at each start';
COMMENT ON COLUMN capture_hosts.place IS
    'Boot of the machine, and device and inode of the data dir''s lock: who holds the same lock knows that the process before is dead';

-- Counted again and again, however many there are.
CREATE INDEX dead_letters_waiting_code ON dead_letters (code) WHERE replayed_at IS NULL AND discarded_at IS NULL;
