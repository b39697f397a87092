//! Who is alike: k-means over scaled behaviour, with names made from what sets a segment apart.

mod behaviour;
mod clustering;
mod matching;
mod naming;
mod silhouette;
mod space;
mod trainer;

use serde::{Deserialize, Serialize};

pub use behaviour::{Behaviour, MIN_READS, PartOfDay, SPAN_DAYS};
pub use naming::Trait;
use space::Space;
pub use trainer::Trainer;

/// More segments than this nobody can keep apart.
pub const MAX_SEGMENTS: usize = 8;

/// People who are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Kept over refits as long as most of its people stay together; never given to another segment.
    pub id: u32,
    /// For people, as `evening readers of recipes`; no two segments of a model have the same.
    pub name: String,
    /// What the name says.
    pub traits: Vec<Trait>,
    /// The part of the people who are in it, from 0 to 1.
    pub share: f64,
    centroid: Vec<f64>,
}

/// A fitted model, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    space: Space,
    segments: Vec<Segment>,
    next_id: u32,
}

impl Model {
    /// The segment of a person; `None` for who has read too little to tell.
    pub fn segment(&self, behaviour: &Behaviour) -> Option<&Segment> {
        self.place(behaviour).map(|place| &self.segments[place])
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn place(&self, behaviour: &Behaviour) -> Option<usize> {
        let centroids = self.segments.iter().map(|segment| segment.centroid.as_slice());
        behaviour
            .is_telling()
            .then(|| clustering::nearest(centroids, &self.space.point(behaviour)))
            .flatten()
    }
}

#[cfg(test)]
mod tests;
