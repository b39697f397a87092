//! The table of figures.

use std::fmt::Write as _;

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Only told.
    None,
}

/// Values of one thing, one a round.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// This against another, round by round.
    pub fn ratios(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(one, other)| one / other)
                .collect(),
        )
    }

    fn range(&self) -> Option<(f64, f64)> {
        let least = self.0.iter().copied().reduce(f64::min)?;
        let most = self.0.iter().copied().reduce(f64::max)?;
        (self.0.len() > 1).then_some((least, most))
    }
}

impl From<f64> for Series {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

/// Collects the figures of a run.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 6]>,
    missed: usize,
}

impl Report {
    /// Adds a figure: the median of its rounds, and how far they lie apart.
    pub fn add(&mut self, name: &str, series: impl Into<Series>, unit: &str, goal: Goal) {
        let series = series.into();
        let value = series.median();
        let (goal, verdict) = match goal {
            Goal::AtLeast(least) => (format!("≥ {}", shown(least)), Some(value >= least)),
            Goal::AtMost(most) => (format!("≤ {}", shown(most)), Some(value <= most)),
            Goal::None => (String::new(), None),
        };
        if verdict == Some(false) {
            self.missed += 1;
        }
        let range = series.range();
        let row = [
            name.to_owned(),
            shown(value),
            unit.to_owned(),
            range.map_or_else(String::new, |(least, most)| {
                format!("{}–{}", shown(least), shown(most))
            }),
            goal,
            verdict
                .map_or("", |met| if met { "met" } else { "missed" })
                .to_owned(),
        ];
        eprintln!("  {}", row.join("  "));
        self.rows.push(row);
    }

    /// The table, as Markdown that reads well as it is.
    pub fn table(&self) -> String {
        let head = ["figure", "median", "unit", "range", "goal", ""].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(&head).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|column| {
                rows.iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<_> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
            if number == 0 {
                let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
                let _ = writeln!(text, "| {} |", rules.join(" | "));
            }
        }
        text
    }

    pub fn missed(&self) -> usize {
        self.missed
    }
}

fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<_> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(String::from_utf8_lossy)
                .collect();
            groups.join(",")
        }
        medium if medium >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
