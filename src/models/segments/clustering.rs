//! k-means, by linfa, and how many clusters there are.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansError};
use ndarray::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

use super::MAX_SEGMENTS;
use super::silhouette::silhouette;
use crate::models::frozen::frozen;

/// How often k-means begins anew; the end with the least distances is taken.
const RUNS: usize = 5;
const MAX_ITERATIONS: u64 = 200;
/// People that the number of clusters is chosen on.
const CHOOSING: usize = 4_000;
/// A cluster of less than this part of the people is no segment.
const LEAST_SHARE: f64 = 0.01;

/// The place of the nearest of the centroids, the first one of equally near ones.
pub(super) fn nearest<'a>(centroids: impl Iterator<Item = &'a [f64]>, point: &[f64]) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    for (place, centroid) in centroids.enumerate() {
        let distance = squared_distance(centroid, point);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, place));
        }
    }
    best.map(|(_, place)| place)
}

pub(super) fn squared_distance(one: &[f64], other: &[f64]) -> f64 {
    let squares = one
        .iter()
        .zip(other)
        .map(|(one, other)| (one - other) * (one - other));
    squares.fold(0.0, |sum, square| sum + square)
}

pub(super) fn places(centroids: &[Vec<f64>], points: &[Vec<f64>]) -> Vec<usize> {
    let centroids = || centroids.iter().map(Vec::as_slice);
    points
        .iter()
        .filter_map(|point| nearest(centroids(), point))
        .collect()
}

/// The number of clusters, from 2 on, at which people are clearest apart: the greatest silhouette on the first of the
/// points; of equal ones the least. `None` where no number gives clusters that are large enough.
pub(super) fn best_count(points: &[Vec<f64>], seed: u64) -> Result<Option<usize>, KMeansError> {
    let points = &points[..points.len().min(CHOOSING)];
    let mut best: Option<(f64, usize)> = None;
    for count in 2..=MAX_SEGMENTS.min(points.len()) {
        let centroids = clusters(points, count, seed)?;
        let places = places(&centroids, points);
        let people = |cluster| places.iter().filter(|place| **place == cluster).count();
        let least = (0..count).map(people).min().unwrap_or(0);
        if (least as f64) < LEAST_SHARE * points.len() as f64 {
            continue;
        }
        let width = silhouette(points, &places);
        if best.is_none_or(|(greatest, _)| width > greatest) {
            best = Some((width, count));
        }
    }
    Ok(best.map(|(_, count)| count))
}

/// Frozen centroids, always the same for the same points in the same order.
pub(super) fn clusters(points: &[Vec<f64>], count: usize, seed: u64) -> Result<Vec<Vec<f64>>, KMeansError> {
    let dimensions = points.first().map_or(0, Vec::len);
    let matrix = Array2::from_shape_fn((points.len(), dimensions), |(row, column)| points[row][column]);
    let random = Xoshiro256Plus::seed_from_u64(seed);
    let model = KMeans::params_with_rng(count, random)
        .n_runs(RUNS)
        .max_n_iterations(MAX_ITERATIONS)
        .fit(&DatasetBase::from(matrix))?;
    let rows = model.centroids().rows();
    Ok(rows
        .into_iter()
        .map(|row| row.iter().copied().map(frozen).collect())
        .collect())
}
