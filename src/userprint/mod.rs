//! The userprint: a visitor's id in a signed cookie, which nobody but momsflow can make.
//!
//! [`Ring`] makes and verifies cookies and is pure. [`Userprints`] is what a process shares: the ring in use, which
//! may be turned while it runs, and the terms of the config. Where the config names no keys, [`kept`] keeps some in
//! the data dir.

mod cookie;
pub mod kept;
mod ring;
mod state;
mod userprints;

pub use cookie::{Fault, VERSION};
pub use ring::{Key, Ring, Standing, Verified};
pub use state::State;
pub use userprints::{Terms, Userprints};

#[cfg(test)]
mod tests;
