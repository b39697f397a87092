-- greatest(), because infinity cannot be subtracted from before PostgreSQL 17.
SELECT log_partition, positions.next_offset, leases.owner, leases.epoch, leases.take_overs,
       extract(epoch FROM greatest(leases.expires_at, 'epoch') - now())::double precision AS remaining
FROM positions
JOIN leases USING (log_id, log_partition)
WHERE log_id = $1
ORDER BY log_partition
