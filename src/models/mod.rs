//! Models that are fitted on the platform's own data: who comes back, who is about to leave, who is alike.
//!
//! Pure functions; docs/models.md has the formulas and the reasons. A trainer takes people one by one, in any order, and
//! ends with a [`Report`] and, where the model beats its baseline, the model itself: a plain value of frozen numbers
//! (`frozen`) that scores people later. A score depends on nothing but integers and those numbers, and is the same to
//! the last bit on every machine: exponentials and logarithms are those of `libm`, and sums run in one order.

mod baseline;
pub mod bg_nbd;
pub mod churn;
mod day;
mod frozen;
mod logistic;
mod report;
mod sample;
mod scoring;
pub mod segments;

pub use self::baseline::Table;
pub use self::day::{Day, HORIZON_DAYS, REQUIRED_DAYS, Window};
pub use self::report::{Fitted, Measure, Report, Score};
pub use self::sample::{Fold, Rank, Sample};
pub use self::scoring::{Bin, Scored};
