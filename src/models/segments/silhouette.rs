//! How clearly clusters are apart.

use super::clustering::squared_distance;

/// Points that are looked at; the distances are those between all pairs of them.
const POINTS: usize = 500;

/// The mean silhouette width of the first points, from −1 to 1: 1 − a/b, where a is the mean distance to the others of
/// the same cluster and b that to the nearest other cluster. A point that is alone counts 0, as usual.
pub(super) fn silhouette(points: &[Vec<f64>], places: &[usize]) -> f64 {
    let count = points.len().min(POINTS);
    let clusters = places.iter().max().map_or(0, |last| last + 1);
    let sum = (0..count)
        .map(|point| width(&points[..count], places, clusters, point))
        .sum::<f64>();
    if count == 0 { 0.0 } else { sum / count as f64 }
}

fn width(points: &[Vec<f64>], places: &[usize], clusters: usize, point: usize) -> f64 {
    let mut distances = vec![(0.0, 0_u32); clusters];
    for (other, place) in places.iter().enumerate().take(points.len()) {
        if other != point {
            let (sum, count) = &mut distances[*place];
            *sum += squared_distance(&points[point], &points[other]).sqrt();
            *count += 1;
        }
    }
    let own = places[point];
    let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
    let others = distances.iter().enumerate().filter(|(place, _)| *place != own);
    let nearest = others
        .filter_map(|(_, distances)| mean(*distances))
        .min_by(f64::total_cmp);
    match (mean(distances[own]), nearest) {
        (Some(own), Some(other)) if own.max(other) > 0.0 => (other - own) / own.max(other),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_definition() {
        let points: Vec<_> = [0.0, 1.0, 10.0, 12.0].map(|x| vec![x]).into();
        let expected = [
            1.0 - 1.0 / 11.0,
            1.0 - 1.0 / 10.0,
            1.0 - 2.0 / 9.5,
            1.0 - 2.0 / 11.5,
        ];
        let mean = expected.iter().sum::<f64>() / 4.0;
        assert!((silhouette(&points, &[0, 0, 1, 1]) - mean).abs() < 1e-12);
        assert!(silhouette(&points, &[0, 1, 0, 1]) < 0.0);
    }

    #[test]
    fn what_has_no_pairs_counts_nothing() {
        let point = vec![vec![1.0], vec![1.0]];
        assert_eq!(silhouette(&point, &[0, 0]), 0.0);
        assert_eq!(silhouette(&point, &[0, 1]), 0.0);
        assert_eq!(silhouette(&[], &[]), 0.0);
    }
}
