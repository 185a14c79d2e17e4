//! Order statistics of a handful of numbers: no means, which one slow moment of the machine would move.

/// Where the numbers lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub least: f64,
    pub p10: f64,
    pub median: f64,
    pub p90: f64,
}

/// Of at least one number.
pub fn spread(numbers: impl IntoIterator<Item = f64>) -> Spread {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| quantile(&sorted, part);
    Spread {
        least: at(0.0),
        p10: at(0.1),
        median: at(0.5),
        p90: at(0.9),
    }
}

/// Of the line that is nearest to the points by least squares.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    both / points
        .iter()
        .map(|point| (point.0 - x).powi(2))
        .sum::<f64>()
}

/// Linear between neighbours.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let position = part * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(a), Some(b)) => a + (b - a) * position.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_what_one_more_adds() {
        let line = [(10.0, 7.0), (100.0, 52.0), (1000.0, 502.0)];
        assert!((slope(&line) - 0.5).abs() < 1e-9);
        assert!((slope(&[(0.0, 0.0), (1.0, 3.0), (2.0, 0.0)])).abs() < 1e-9);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let found = spread([40.0, 10.0, 30.0, 20.0, 50.0]);
        assert_eq!(
            found,
            Spread {
                least: 10.0,
                p10: 14.0,
                median: 30.0,
                p90: 46.0
            }
        );
        assert_eq!(spread([1.0, 2.0]).median, 1.5);
        assert_eq!(spread([7.0]).p90, 7.0);
    }
}
