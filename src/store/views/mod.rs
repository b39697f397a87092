//! The user view database: what user-views remembers, what people look at, and the events from which it all comes.

mod crowd;
pub mod delta;
mod items;
mod known;
mod marks;
mod people;
mod rebuild;
mod rows;
mod table;
mod write;

pub use known::{KnownError, PgKnown, find_person};
pub use marks::{
    Meta, ask_for_rebuild, due, freeze_shares, hold, last_day, lock, marks, meta, new_revocations,
    read_shares, release, write_marks, write_meta,
};
pub use rebuild::{Schema, VIEWS, compare, drop_copy, make_copy, swap_in, use_schema};
pub use write::{Run, note_run, write};
