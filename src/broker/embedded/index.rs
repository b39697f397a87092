//! A sparse index of a segment: where each partition stands at some places of the file.

/// How far apart the places are. A reader walks over so many bytes at the most before the frame that it wants.
const INTERVAL: u64 = 128 << 10;

/// Places of a segment's file in rising order, each with the partitions' ends of all that is before it.
///
/// It grows by whoever passes the last place: the writer, or the first reader of a segment of an earlier run.
#[derive(Debug)]
pub(super) struct Index {
    partitions: usize,
    places: Vec<u64>,
    /// As many for each place as there are partitions.
    ends: Vec<i64>,
}

impl Index {
    /// An index of one place, at which the segment's frames begin.
    pub(super) fn new(position: u64, starts: &[i64]) -> Self {
        Self {
            partitions: starts.len(),
            places: vec![position],
            ends: starts.to_vec(),
        }
    }

    /// Notes how far the partitions are at a place between two frames, if it is far enough from the last one.
    pub(super) fn note(&mut self, position: u64, ends: &[i64]) {
        if self.places.last().is_none_or(|last| position >= last + INTERVAL) {
            self.places.push(position);
            self.ends.extend_from_slice(ends);
        }
    }

    /// Notes a place behind bytes that nobody can walk over.
    pub(super) fn jump(&mut self, position: u64, ends: &[i64]) {
        let at = self.places.partition_point(|place| *place < position);
        if self.places.get(at) != Some(&position) {
            self.places.insert(at, position);
            let at = at * self.partitions;
            self.ends.splice(at..at, ends.iter().copied());
        }
    }

    /// The last known place before which there is no record of the partition at `offset` or behind it, and the
    /// partitions' ends there.
    pub(super) fn before(&self, partition: usize, offset: i64) -> (u64, Vec<i64>) {
        let ends = |place: usize| &self.ends[place * self.partitions..(place + 1) * self.partitions];
        let (mut low, mut high) = (0, self.places.len());
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if ends(middle)[partition] <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        (self.places[low], ends(low).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_last_place_before_an_offset() {
        let mut index = Index::new(100, &[5, 0]);
        index.note(101, &[6, 0]);
        let far = 100 + INTERVAL;
        index.note(far, &[9, 0]);
        index.note(2 * far, &[9, 4]);
        assert_eq!(index.before(0, 5), (100, vec![5, 0]));
        assert_eq!(index.before(0, 8), (100, vec![5, 0]));
        assert_eq!(index.before(0, 9), (2 * far, vec![9, 4]));
        assert_eq!(index.before(1, 0), (far, vec![9, 0]));
        assert_eq!(index.before(1, 3), (far, vec![9, 0]));
        assert_eq!(index.before(1, 4), (2 * far, vec![9, 4]));
        index.jump(far + 7, &[9, 2]);
        index.jump(far + 7, &[9, 2]);
        assert_eq!(index.before(1, 1), (far, vec![9, 0]));
        assert_eq!(index.before(1, 2), (far + 7, vec![9, 2]));
        assert_eq!(index.before(1, 4), (2 * far, vec![9, 4]));
    }
}
