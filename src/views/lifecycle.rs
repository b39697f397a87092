//! Where a person stands: a function of the days on which it was active.

use std::fmt;

use super::{Day, DaySet};

/// Days after the first one, and after a return, in which somebody counts as new or resurrected.
const FRESH: i32 = 28;
const CHURNED_AFTER: i32 = 90;
/// The gaps between active days that make the usual one: the latest so many.
const GAPS: usize = 9;
/// Fewer say nothing yet.
const FEWEST_GAPS: usize = 3;
const USUAL_GAP: i32 = 7;

/// A stage of a person's time with the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    New,
    Active,
    AtRisk,
    Dormant,
    Churned,
    Resurrected,
}

impl Stage {
    /// The name in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Active => "active",
            Self::AtRisk => "at_risk",
            Self::Dormant => "dormant",
            Self::Churned => "churned",
            Self::Resurrected => "resurrected",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change from one stage to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transition {
    pub day: Day,
    /// None at the very beginning.
    pub from: Option<Stage>,
    pub to: Stage,
}

/// The days between visits that are usual for somebody who was active on `last`: the median of the latest nine gaps,
/// the lower of two; 7 while there are fewer than three.
pub fn usual_gap(days: &DaySet, last: Day) -> i32 {
    let mut gaps = [0; GAPS];
    let mut count = 0;
    let mut later = None;
    for day in days.iter_back(last).take(GAPS + 1) {
        if let Some(later) = later.replace(day) {
            let later: Day = later;
            gaps[count] = later.0 - day.0;
            count += 1;
        }
    }
    if count < FEWEST_GAPS {
        return USUAL_GAP;
    }
    let gaps = &mut gaps[..count];
    gaps.sort_unstable();
    gaps[(count - 1) / 2]
}

/// After how many days of silence somebody counts as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub at_risk: i32,
    pub dormant: i32,
    pub churned: i32,
}

impl Patience {
    /// With somebody who was active on `last`: three usual gaps, and twice that.
    pub fn with(days: &DaySet, last: Day) -> Self {
        let at_risk = (3 * usual_gap(days, last)).clamp(7, 30);
        Self {
            at_risk,
            dormant: (2 * at_risk).max(30),
            churned: CHURNED_AFTER,
        }
    }
}

/// The stage on a day, by the days until then; `None` before the first.
pub fn stage_on(days: &DaySet, day: Day) -> Option<Stage> {
    let last = days.iter_back(day).next()?;
    let silence = day.0 - last.0;
    // The common case needs no more than the last day.
    if silence >= 7 {
        let patience = Patience::with(days, last);
        if silence >= patience.churned {
            return Some(Stage::Churned);
        }
        if silence >= patience.dormant {
            return Some(Stage::Dormant);
        }
        if silence >= patience.at_risk {
            return Some(Stage::AtRisk);
        }
    }
    if returned_on(days, last).is_some_and(|back| day.0 - back.0 < FRESH) {
        return Some(Stage::Resurrected);
    }
    let is_new = days.first().is_some_and(|first| day.0 - first.0 < FRESH);
    Some(if is_new { Stage::New } else { Stage::Active })
}

/// The latest day, within the four weeks until `last`, on which somebody came back who had been dormant.
fn returned_on(days: &DaySet, last: Day) -> Option<Day> {
    let mut later = last;
    for day in days.iter_back(last.plus(-1)) {
        let gap = later.0 - day.0;
        if gap >= 30 && gap >= Patience::with(days, day).dormant {
            return Some(later);
        }
        if last.0 - day.0 >= FRESH {
            return None;
        }
        later = day;
    }
    None
}

/// The changes of stage from `from` to `until`, both included. Only days after the last active one before `from` are looked
/// at, so that the cost goes with what is new.
pub fn transitions(days: &DaySet, from: Day, until: Day) -> Vec<Transition> {
    let before = days.iter_back(from.plus(-1)).next();
    let earliest = before.unwrap_or(from);
    let active = days.iter_back(until).take_while(|day| *day >= earliest);
    let mut candidates: Vec<_> = active
        .flat_map(|day| {
            let patience = Patience::with(days, day);
            [0, patience.at_risk, patience.dormant, patience.churned, FRESH].map(|later| day.plus(later))
        })
        .filter(|day| (from..=until).contains(day))
        .collect();
    // The ends of being new or resurrected, which may have begun long before.
    candidates.extend(
        (0..FRESH)
            .map(|later| from.plus(later))
            .filter(|day| *day <= until),
    );
    candidates.sort_unstable();
    candidates.dedup();
    let mut stage = stage_on(days, from.plus(-1));
    let mut changes = Vec::new();
    for day in candidates {
        let now = stage_on(days, day);
        if let Some(to) = now.filter(|_| now != stage) {
            changes.push(Transition { day, from: stage, to });
            stage = now;
        }
    }
    changes
}

/// Since when somebody has been in the stage of a day.
pub fn changed_on(days: &DaySet, day: Day) -> Option<Day> {
    let stage = stage_on(days, day)?;
    let mut from = days.iter_back(day).next()?;
    loop {
        if let Some(change) = transitions(days, from, day).last() {
            return Some(change.day);
        }
        // Never yet a break: look further back, by ever more.
        debug_assert_eq!(stage_on(days, from), Some(stage));
        let back = (day.0 - from.0).max(28).saturating_mul(2);
        from = days.first()?.max(from.plus(-back));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn set(days: &[i32]) -> DaySet {
        days.iter().copied().map(Day).collect()
    }

    #[test]
    fn a_reader_of_every_fourth_day_is_at_risk_after_twelve() {
        let days = set(&[0, 4, 8, 12, 16, 20, 24, 28, 32]);
        let stages: Vec<_> = [0, 27, 28, 32, 43, 44, 61, 62, 121, 122]
            .map(|day| stage_on(&days, Day(day)).unwrap().as_str())
            .to_vec();
        assert_eq!(
            stages,
            [
                "new", "new", "active", "active", "active", "at_risk", "at_risk", "dormant", "dormant",
                "churned"
            ]
        );
        assert_eq!(usual_gap(&days, Day(32)), 4);
        assert_eq!(changed_on(&days, Day(50)), Some(Day(44)));
    }

    #[test]
    fn who_comes_back_from_dormancy_is_resurrected_for_four_weeks() {
        let days = set(&[0, 1, 2, 3, 100, 101, 110, 120, 127, 130]);
        assert_eq!(stage_on(&days, Day(99)), Some(Stage::Churned));
        assert_eq!(stage_on(&days, Day(100)), Some(Stage::Resurrected));
        assert_eq!(stage_on(&days, Day(127)), Some(Stage::Resurrected));
        assert_eq!(stage_on(&days, Day(128)), Some(Stage::Active));
        assert_eq!(changed_on(&days, Day(130)), Some(Day(128)));
    }

    proptest! {
        #[test]
        fn transitions_are_the_days_on_which_the_stage_differs(
            days in prop::collection::btree_set(0..400, 1..40), from in 0..400, length in 0..200
        ) {
            let days = set(&days.into_iter().collect::<Vec<_>>());
            let (from, until) = (Day(from), Day(from + length));
            let plain: Vec<_> = (from.0..=until.0)
                .map(Day)
                .filter_map(|day| {
                    let (before, now) = (stage_on(&days, day.plus(-1)), stage_on(&days, day)?);
                    (before != Some(now)).then_some(Transition { day, from: before, to: now })
                })
                .collect();
            prop_assert_eq!(transitions(&days, from, until), plain.clone());
            if let Some(stage) = stage_on(&days, until) {
                let since = changed_on(&days, until).unwrap();
                prop_assert!((since.0..=until.0).all(|day| stage_on(&days, Day(day)) == Some(stage)));
                prop_assert_ne!(stage_on(&days, since.plus(-1)), Some(stage));
            }
        }
    }
}
