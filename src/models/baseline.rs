//! The baseline of the models: how often people of the same recency and the same number of active days came back.

/// Upper bounds of the classes of days since the last visit.
const SILENCES: [u32; 9] = [0, 1, 3, 7, 14, 28, 56, 112, u32::MAX];
/// Upper bounds of the classes of active days.
const ACTIVE_DAYS: [u32; 7] = [1, 2, 4, 8, 16, 32, u32::MAX];
/// A cell is drawn to its row, and a row to all, as if by so many people.
const PRIOR: f64 = 10.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cell {
    people: u64,
    happened: u64,
}

impl Cell {
    fn rate(self, prior: f64) -> f64 {
        (self.happened as f64 + PRIOR * prior) / (self.people as f64 + PRIOR)
    }
}

/// A recency × active-days table of frequencies, smoothed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    cells: [[Cell; ACTIVE_DAYS.len()]; SILENCES.len()],
}

impl Table {
    pub fn add(&mut self, silence: u32, active_days: u32, happened: bool, people: u64) {
        let (row, column) = (class(&SILENCES, silence), class(&ACTIVE_DAYS, active_days));
        let cell = &mut self.cells[row][column];
        cell.people += people;
        cell.happened += if happened { people } else { 0 };
    }

    /// How often it happened for such people: strictly between 0 and 1, and a half in an empty table.
    pub fn rate(&self, silence: u32, active_days: u32) -> f64 {
        let total = |cells: &mut dyn Iterator<Item = &Cell>| {
            cells.fold(Cell::default(), |sum, cell| Cell {
                people: sum.people + cell.people,
                happened: sum.happened + cell.happened,
            })
        };
        let row = &self.cells[class(&SILENCES, silence)];
        let all = total(&mut self.cells.iter().flatten()).rate(0.5);
        row[class(&ACTIVE_DAYS, active_days)].rate(total(&mut row.iter()).rate(all))
    }
}

fn class(upper_bounds: &[u32], value: u32) -> usize {
    upper_bounds.partition_point(|upper| *upper < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_drawn_to_its_row_and_a_row_to_all() {
        let mut table = Table::default();
        assert!((table.rate(3, 1) - 0.5).abs() < 1e-12);
        table.add(2, 1, true, 90);
        table.add(3, 1, false, 10);
        let all = (90.0 + 5.0) / 110.0;
        assert!(
            (table.rate(100, 50) - all).abs() < 1e-12,
            "an empty row is as all"
        );
        let row = (90.0 + 10.0 * all) / 110.0;
        assert!(
            (table.rate(2, 50) - row).abs() < 1e-12,
            "an empty cell is as its row"
        );
        assert!((table.rate(3, 1) - (90.0 + 10.0 * row) / 110.0).abs() < 1e-12);
    }

    #[test]
    fn every_number_has_a_class() {
        for (value, expected) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (112, 7),
            (113, 8),
            (u32::MAX, 8),
        ] {
            assert_eq!(class(&SILENCES, value), expected, "{value}");
        }
        assert_eq!(class(&ACTIVE_DAYS, 0), 0);
    }
}
