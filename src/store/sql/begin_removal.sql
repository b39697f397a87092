-- What the removal has to remember: the pairs that the removed events spoke of, and how far the log was stored before the
-- first of them went, so that those which come meanwhile are found by their place.
CREATE TEMPORARY TABLE removed_pairs (anonymous_id text NOT NULL, user_id text NOT NULL) ON COMMIT DROP;
CREATE TEMPORARY TABLE remaining_edges (LIKE identity_edges) ON COMMIT DROP;
ALTER TABLE remaining_edges ALTER COLUMN edge_id DROP NOT NULL;
CREATE TEMPORARY TABLE removal_began ON COMMIT DROP AS SELECT log_id, log_partition, next_offset FROM positions;
