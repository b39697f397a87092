//! Who is who in the event store: edges and claims that capture derives, visitors who are to be forgotten, and what
//! people ask about them. The rules are those of [`crate::identity`].

pub mod look;
mod pairs;
pub mod rebuild;
mod record;
pub mod revoke;
mod suppression;

pub use pairs::KnownPairs;
pub use suppression::Suppressions;

pub(super) use record::{learn, record};
pub(super) use suppression::suppress;
