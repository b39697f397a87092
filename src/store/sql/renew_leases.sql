-- Fences every capture: what it has not committed by now fails, and it takes its lease anew. With the lease it drops what
-- it remembers of pairs of ids, which would else keep it from writing those again that are removed here.
UPDATE leases SET epoch = epoch + 1
