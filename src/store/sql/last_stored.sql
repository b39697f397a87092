-- When capture last stored anything, by its clock.
SELECT max(updated_at) FROM positions
