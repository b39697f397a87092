//! From people's behaviour to segments that are published, or not.

use std::collections::BTreeMap;

use linfa_clustering::KMeansError;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

use super::clustering::{best_count, clusters, places};
use super::matching::continued;
use super::naming::{Profile, Reads, name};
use super::silhouette::silhouette;
use super::space::Space;
use super::{Behaviour, Model, Segment};
use crate::models::frozen::frozen;
use crate::models::{Fitted, Measure, Rank, Report, Sample, Score, Window};

/// People to fit to at the most; some 2 kB each.
const CAPACITY: usize = 20_000;
const REQUIRED_PEOPLE: u64 = 300;
/// The part of the people that the segments are scored on; the others are fitted to.
const SCORED_FOLD: usize = 0;

/// Takes people's behaviour and finds who is alike.
#[derive(Clone, Debug)]
pub struct Trainer {
    window: Window,
    seed: u64,
    previous: Option<Model>,
    sample: Sample<Behaviour>,
}

impl Trainer {
    /// `previous` is the model that is in use, whose segments keep ids and names as far as they go on.
    pub fn new(window: Window, seed: u64, previous: Option<Model>) -> Self {
        Self {
            window,
            seed,
            previous,
            sample: Sample::new(CAPACITY),
        }
    }

    /// Adds a person. Each is to come once, in any order.
    pub fn add(&mut self, person: &str, behaviour: &Behaviour) {
        if behaviour.is_telling() {
            self.sample.add(Rank::of(self.seed, person), || behaviour.clone());
        }
    }

    pub fn finish(self) -> Fitted<Model> {
        let report = Report::new("segments", self.window, self.seed, self.sample.offered());
        if let Some(lack) = Report::lack(self.window, self.sample.offered(), REQUIRED_PEOPLE) {
            return report.unpublished(lack);
        }
        let part = |is_scored: bool| {
            let people = self.sample.iter();
            let people = people.filter(|(rank, _)| (rank.fold().index() == SCORED_FOLD) == is_scored);
            people.map(|(_, behaviour)| behaviour).collect::<Vec<_>>()
        };
        match fitted(report.clone(), &part(false), &part(true), self.previous.as_ref()) {
            Ok(fitted) => fitted,
            Err(error) => report.unpublished(format!("not fitted: {error}")),
        }
    }
}

fn fitted(
    mut report: Report,
    people: &[&Behaviour],
    scored: &[&Behaviour],
    previous: Option<&Model>,
) -> Result<Fitted<Model>, KMeansError> {
    let space = Space::of(people.iter().copied());
    let points = |people: &[&Behaviour]| people.iter().map(|one| space.point(one)).collect::<Vec<_>>();
    let (mut fitted_points, mut scored_points) = (points(people), points(scored));
    let Some(count) = best_count(&fitted_points, report.seed)? else {
        return Ok(report.unpublished("not fitted: people do not part into groups of 1 % or more"));
    };
    let centroids = clusters(&fitted_points, count, report.seed)?;
    let score = score(&centroids, &scored_points);
    let model = model(space.clone(), centroids, people, &fitted_points, previous);

    shuffle_dimensions(&mut fitted_points, report.seed);
    shuffle_dimensions(&mut scored_points, report.seed.wrapping_add(1));
    let baseline = self::score(&clusters(&fitted_points, count, report.seed)?, &scored_points);

    report.people_fitted = people.len() as u64;
    report.parameters.insert("segments".to_owned(), count as f64);
    for segment in &model.segments {
        report
            .parameters
            .insert(format!("share.{}", segment.id), segment.share);
    }
    Ok(report.judged(model, score, baseline))
}

fn score(centroids: &[Vec<f64>], points: &[Vec<f64>]) -> Score {
    Score {
        measure: Measure::Silhouette,
        value: frozen(silhouette(points, &places(centroids, points))),
        people: points.len() as u64,
        further: BTreeMap::new(),
    }
}

/// Mixes each dimension by itself: everything stays as it is spread, and nothing goes with anything.
fn shuffle_dimensions(points: &mut [Vec<f64>], seed: u64) {
    let mut random = Xoshiro256Plus::seed_from_u64(seed);
    for dimension in 0..points.first().map_or(0, Vec::len) {
        for place in (1..points.len()).rev() {
            let other = (random.next_u64() % (place as u64 + 1)) as usize;
            let value = points[place][dimension];
            points[place][dimension] = points[other][dimension];
            points[other][dimension] = value;
        }
    }
}

/// Segments around the centroids, the largest first, which go on from those of `previous` where they can.
fn model(
    space: Space,
    centroids: Vec<Vec<f64>>,
    people: &[&Behaviour],
    points: &[Vec<f64>],
    previous: Option<&Model>,
) -> Model {
    let places = places(&centroids, points);
    let members = |cluster: usize| {
        let all = people.iter().zip(&places);
        all.filter(move |(_, place)| **place == cluster)
            .map(|(one, _)| *one)
    };
    let mut order: Vec<usize> = (0..centroids.len()).collect();
    order.sort_by_key(|cluster| std::cmp::Reverse(members(*cluster).count()));
    let old = |cluster| continues(members(cluster), previous);
    let continued = continued(&order.iter().map(|cluster| old(*cluster)).collect::<Vec<_>>());
    let everybodys = Reads::of(people.iter().copied());
    let mut model = Model {
        space,
        segments: Vec::new(),
        next_id: previous.map_or(1, |previous| previous.next_id),
    };
    for (cluster, old) in order.into_iter().zip(continued) {
        let old = old.and_then(|old| previous?.segments.get(old));
        let reads = Reads::of(members(cluster));
        let centroid = &centroids[cluster];
        let profile = Profile {
            centroid,
            reads: &reads,
            everybodys: &everybodys,
        };
        let share = frozen(members(cluster).count() as f64 / people.len().max(1) as f64);
        model.push(&profile, share, old);
    }
    model.name_the_nameless();
    model
}

/// How many of these people are in which segment of the previous model.
fn continues<'a>(people: impl Iterator<Item = &'a Behaviour>, previous: Option<&Model>) -> Vec<u64> {
    let Some(previous) = previous else {
        return Vec::new();
    };
    let mut common = vec![0; previous.segments.len()];
    for place in people.filter_map(|one| previous.place(one)) {
        common[place] += 1;
    }
    common
}

impl Model {
    /// Adds a segment with its id; the name only where it keeps the old one, which may not be given to another.
    fn push(&mut self, profile: &Profile, share: f64, old: Option<&Segment>) {
        let id = old.map_or(self.next_id, |old| old.id);
        self.next_id = self.next_id.max(id + 1);
        let kept = old.filter(|old| profile.still_has(&old.traits));
        self.segments.push(Segment {
            id,
            name: kept.map(|old| old.name.clone()).unwrap_or_default(),
            traits: kept.map_or_else(|| profile.traits(), |old| old.traits.clone()),
            share,
            centroid: profile.centroid.to_vec(),
        });
    }

    fn name_the_nameless(&mut self) {
        for place in 0..self.segments.len() {
            if self.segments[place].name.is_empty() {
                let plain = name(&self.segments[place].traits);
                let is_free = |name: &String| self.segments.iter().all(|segment| segment.name != *name);
                let numbered = (2..).map(|number| format!("{plain} ({number})"));
                let free = [plain.clone()].into_iter().chain(numbered).find(is_free);
                self.segments[place].name = free.unwrap_or(plain);
            }
        }
    }
}
