-- Edges that no event speaks of any more.
DELETE FROM identity_edges AS edges
USING (SELECT DISTINCT anonymous_id, user_id FROM removed_pairs) AS pairs
WHERE edges.anonymous_id = pairs.anonymous_id AND edges.user_id = pairs.user_id
  AND NOT EXISTS (
      SELECT FROM remaining_edges AS remaining
      WHERE remaining.anonymous_id = edges.anonymous_id AND remaining.user_id = edges.user_id
  )
