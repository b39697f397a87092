//! Which partitions a host shall have: a pure function of what all hosts can see, so that nobody has to coordinate.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::hosts::Neighbours;

/// The partitions that `me` keeps or takes, out of `0..partitions`.
///
/// Of n living hosts each has ⌊partitions/n⌋ or ⌈partitions/n⌉ in the end. Those that have most keep most, so that as
/// few as possible move. Nobody takes what another's lease still covers; who has too many gives some up, and they are
/// free then. Hosts that looked at different moments may wish for the same one, which only one of them gets.
pub(super) fn share(me: &str, partitions: i32, neighbours: &Neighbours) -> BTreeSet<i32> {
    let owners = owners(partitions, neighbours);
    let mine = || owners.iter().filter(|(_, owner)| **owner == Some(me));
    let Some((rank, quota)) = quota(me, partitions, neighbours, &owners) else {
        return mine().map(|(partition, _)| *partition).collect();
    };
    let mut wanted: BTreeSet<_> = mine().map(|(partition, _)| *partition).take(quota).collect();
    let mut free: Vec<_> = owners
        .iter()
        .filter(|(_, owner)| owner.is_none())
        .map(|(partition, _)| *partition)
        .collect();
    // Each host begins at another place, so that they seldom wish for the same.
    let begin = rank * free.len() / neighbours.hosts.len().max(1);
    free.rotate_left(begin);
    wanted.extend(free.into_iter().take(quota.saturating_sub(wanted.len())));
    wanted
}

/// Who holds each partition now.
fn owners(partitions: i32, neighbours: &Neighbours) -> BTreeMap<i32, Option<&str>> {
    (0..partitions)
        .map(|partition| {
            let lease = neighbours.leases.get(&partition);
            let owner = lease.filter(|lease| lease.remaining.is_some());
            (partition, owner.map(|lease| lease.owner.as_str()))
        })
        .collect()
}

/// A host's place among the living and how many partitions it may have; `None` for one that is not among them.
fn quota(
    me: &str,
    partitions: i32,
    neighbours: &Neighbours,
    owners: &BTreeMap<i32, Option<&str>>,
) -> Option<(usize, usize)> {
    let mut hosts: Vec<_> = neighbours
        .hosts
        .iter()
        .map(|host| {
            let held = owners
                .values()
                .filter(|owner| **owner == Some(host.id.as_str()))
                .count();
            (std::cmp::Reverse(held), host.id.as_str())
        })
        .collect();
    hosts.sort_unstable();
    let rank = hosts.iter().position(|(_, id)| *id == me)?;
    let partitions = usize::try_from(partitions).unwrap_or_default();
    let quota = partitions / hosts.len() + usize::from(rank < partitions % hosts.len());
    Some((rank, quota))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::store::hosts::{HeldLease, LivingHost};

    /// A store of leases, in which hosts act on what they saw last.
    #[derive(Debug, Default)]
    struct World(Neighbours);

    impl World {
        fn join(&mut self, id: usize) {
            self.0.hosts.push(LivingHost {
                id: name(id),
                name: name(id),
                process: None,
                place: None,
                remaining: Duration::from_secs(10),
                expires_at: 0.0,
            });
        }

        fn leave(&mut self, id: usize) {
            self.0.hosts.retain(|host| host.id != name(id));
            for lease in self.0.leases.values_mut().filter(|lease| lease.owner == name(id)) {
                lease.remaining = None;
            }
        }

        fn held(&self, id: usize) -> usize {
            let leases = self.0.leases.values();
            leases
                .filter(|lease| lease.owner == name(id) && lease.remaining.is_some())
                .count()
        }

        /// Carries out what a host wishes after a look at `seen`, which may be old by now.
        fn act(&mut self, id: usize, partitions: i32, seen: &Neighbours) -> usize {
            let wanted = share(&name(id), partitions, seen);
            let mut moved = 0;
            for partition in 0..partitions {
                let lease = self.0.leases.entry(partition).or_insert(HeldLease {
                    owner: String::new(),
                    epoch: 0,
                    next_offset: 0,
                    take_overs: 0,
                    remaining: None,
                });
                let is_mine = lease.remaining.is_some() && lease.owner == name(id);
                if is_mine && !wanted.contains(&partition) {
                    lease.remaining = None;
                    moved += 1;
                } else if lease.remaining.is_none() && wanted.contains(&partition) {
                    lease.owner = name(id);
                    lease.remaining = Some(Duration::from_secs(10));
                    moved += 1;
                }
            }
            moved
        }
    }

    fn name(id: usize) -> String {
        format!("host-{id}")
    }

    #[test]
    fn as_few_as_possible_move() {
        let mut world = World::default();
        let settle = |world: &mut World, hosts: &[usize]| {
            let mut moved = 0;
            for _ in 0..5 {
                for host in hosts {
                    let seen = world.0.clone();
                    moved += world.act(*host, 7, &seen);
                }
            }
            moved
        };
        world.join(2);
        assert_eq!(settle(&mut world, &[2]), 7);
        world.join(1);
        // Three are given up and three taken; the one that had all keeps the odd one.
        assert_eq!(settle(&mut world, &[1, 2]), 6);
        assert_eq!((world.held(1), world.held(2)), (3, 4));
        world.join(0);
        assert_eq!(settle(&mut world, &[0, 1, 2]), 4);
        assert_eq!((world.held(0), world.held(1), world.held(2)), (2, 2, 3));
        world.leave(2);
        assert_eq!(settle(&mut world, &[0, 1]), 3);
        assert_eq!(world.held(0) + world.held(1), 7);
    }

    proptest! {
        #[test]
        fn shares_are_fair_whoever_looks_when(
            partitions in 1..20i32,
            hosts in 1..6usize,
            // A host that acts, and whether it looked before the one before it acted.
            steps in prop::collection::vec((0..6usize, any::<bool>()), 0..40),
        ) {
            let mut world = World::default();
            (0..hosts).for_each(|host| world.join(host));
            let mut before = world.0.clone();
            for (host, is_late) in steps {
                let now = world.0.clone();
                let seen = if is_late { before } else { now.clone() };
                // One that is not there changes nothing.
                if host < hosts {
                    world.act(host, partitions, &seen);
                }
                before = now;
            }
            for _ in 0..4 {
                for host in 0..hosts {
                    let seen = world.0.clone();
                    world.act(host, partitions, &seen);
                }
            }
            let (least, most) = (partitions as usize / hosts, (partitions as usize).div_ceil(hosts));
            let shares: Vec<_> = (0..hosts).map(|host| world.held(host)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), partitions as usize);
            prop_assert!(shares.iter().all(|share| (least..=most).contains(share)), "{:?}", shares);
            let settled = world.0.clone();
            for host in 0..hosts {
                prop_assert_eq!(world.act(host, partitions, &settled), 0);
            }
        }
    }
}
