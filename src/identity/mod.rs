//! Who is who: what an event says of it ([`facts`]), and whose an event is then ([`Links`], [`assign`]).
//!
//! Pure. An anonymous id is joined to users and to nothing else, so that there are stars and never chains: no fact
//! can bring two users together.

mod assign;
mod fact;
mod links;
mod sighting;
mod signed_in;

pub use assign::{Person, SESSION_GAP, Visit, assign};
pub use fact::{Evidence, Fact, believed_user, facts};
pub use links::Links;
pub use sighting::Sighting;
pub use signed_in::SignedIn;

#[cfg(test)]
mod tests;
