//! Which new segment is which old one.

use super::MAX_SEGMENTS;

/// Segments are the same when of all who are in either at least this part is in both.
const LEAST_COMMON: f64 = 0.3;

/// For each new segment the old one that it continues, by how many people are in both (`common[new][old]`).
///
/// Of all ways to pair them the one with the most people who stay together; old segments are at most 8, so that every
/// set of them can be looked at.
pub(super) fn continued(common: &[Vec<u64>]) -> Vec<Option<usize>> {
    let old_count = common.first().map_or(0, Vec::len).min(MAX_SEGMENTS);
    let sets = 1_usize << old_count;
    // For the new segments so far and each set of old ones: the most people that pairs within the set keep together,
    // and whom the last of the new ones continues then.
    let mut most = vec![0_u64; sets];
    let mut choices: Vec<Vec<Option<usize>>> = Vec::new();
    for row in common {
        let mut next = most.clone();
        let mut choice = vec![None; sets];
        for set in 0..sets {
            for old in (0..old_count).filter(|old| set & (1 << old) != 0) {
                let together = most[set & !(1 << old)] + row[old];
                if together > next[set] {
                    next[set] = together;
                    choice[set] = Some(old);
                }
            }
        }
        most = next;
        choices.push(choice);
    }
    let mut set = sets - 1;
    let mut pairs = vec![None; common.len()];
    for (new, choice) in choices.iter().enumerate().rev() {
        if let Some(old) = choice[set] {
            set &= !(1 << old);
            pairs[new] = Some(old).filter(|old| is_same(common, new, *old));
        }
    }
    pairs
}

fn is_same(common: &[Vec<u64>], new: usize, old: usize) -> bool {
    let both = common[new][old];
    let in_new: u64 = common[new].iter().sum();
    let in_old: u64 = common.iter().map(|row| row[old]).sum();
    let either = in_new + in_old - both;
    both > 0 && both as f64 >= LEAST_COMMON * either as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_people_stay_together() {
        // The first new segment has most in common with old 0, but old 0 goes on in the second.
        let common = [vec![50, 45, 0], vec![80, 0, 0], vec![0, 0, 30]];
        assert_eq!(continued(&common), [Some(1), Some(0), Some(2)]);
        assert_eq!(continued(&[vec![0, 9], vec![9, 0]]), [Some(1), Some(0)]);
    }

    #[test]
    fn what_has_too_little_in_common_is_new() {
        let common = [vec![90, 0], vec![30, 20], vec![10, 100]];
        assert_eq!(continued(&common), [Some(0), None, Some(1)]);
        assert_eq!(continued(&[vec![10, 0], vec![90, 200]]), [None, Some(1)]);
    }

    #[test]
    fn there_may_be_more_or_fewer_segments_or_none() {
        assert_eq!(continued(&[vec![7], vec![9]]), [None, Some(0)]);
        assert_eq!(continued(&[vec![7, 9]]), [Some(1)]);
        assert_eq!(continued(&[vec![], vec![]]), [None, None]);
        assert_eq!(continued(&[]), []);
        let diagonal: Vec<Vec<u64>> = (0..8)
            .map(|new| (0..8).map(|old| u64::from(old == new)).collect())
            .collect();
        assert_eq!(continued(&diagonal), (0..8).map(Some).collect::<Vec<_>>());
    }
}
