//! A content platform that does not exist, and the traffic that it would have.
//!
//! ```text
//! Settings ─► World: calendar, articles, people ─► a day's visits ─► session ─► Stream, in the order of sending ─► JSON
//!                                                   habits, anomaly    mail, bots       └► Truth: what is so, once each
//! ```
//!
//! Pure and seeded: the same [`Settings`] make the same events with the same ids. A day is in memory at a time, and of
//! its visits only those that go on; what grows with the number of people or articles is their own state.

mod anomaly;
mod articles;
mod bots;
mod calendar;
mod client;
mod event;
mod habits;
mod mail;
mod people;
mod random;
mod session;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod topics;
mod truth;
mod visit;
mod world;
mod write;

pub use anomaly::Anomaly;
pub use people::Kind;
pub use stream::{Sent, Stream};
pub use truth::Truth;
pub use world::{EVENTS_PER_PERSON_DAY, LIVE_DAYS, Pace, Settings};
