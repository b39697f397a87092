//! What events say about people, from the bottom up. Pure: no I/O, no clock.
//!
//! ```text
//! Event ─► Act ─► Fragment ─► StreamDay ──(who is who)──► PersonDay ─► PersonState ─► UserView
//!          one     a visit     of one anonymous id and      sessions,    everything     what people
//!          event               user, on one local day       counts       that adds up   look at
//! ```
//!
//! Acts fold into fragments, and fragments into each other, in any order and any grouping, always to the same; a stream's
//! days are kept for ever. Whose a stream is may change: then its days are counted with somebody else, and no event is
//! read again. [`step`] does all that for a batch of events.

pub mod step;

mod act;
mod arrival;
mod content;
mod day;
mod day_set;
mod decayed;
mod fragment;
mod lifecycle;
mod person;
mod person_day;
mod rfv;
mod session;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod verb;
mod view;

use jiff::Timestamp;

pub use act::{Act, Content};
pub use arrival::Arrival;
pub use content::{About, ContentDay, Reading};
pub use day::{Day, Zone};
pub use day_set::DaySet;
pub use decayed::Decayed;
pub use fragment::{Counts, First, Fragment};
pub use lifecycle::{Patience, Stage, Transition, changed_on, stage_on, transitions, usual_gap};
pub use person::{PersonKey, person_id};
pub use person_day::{By, PersonDay};
pub use session::{Piece, Session};
pub use state::PersonState;
pub use stream::{Stream, StreamDay, StreamOn};
pub use verb::{NAMES, Verb};
pub use view::{Affinity, Shares, UserView};

/// Raised whenever a column comes to mean something else, or states are kept differently. Then all is made anew.
pub const DEFINITION_VERSION: i32 = 1;

/// Microseconds of UTC since 1970 as a timestamp.
pub fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
