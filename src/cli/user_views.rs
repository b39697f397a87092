use clap::{Args, Subcommand};

use super::Json;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "The role user-views keeps what is known of people up to date, every minute by default; these are for looking, and for doing it by hand.\n\nExamples:\n  momsflow user-views run\n  momsflow user-views explain u-42\n  momsflow user-views verify\n  momsflow user-views rebuild"
)]
pub enum UserViews {
    /// Brings the views up to date now.
    Run(Json),
    /// Makes all views anew from all events beside the live ones, and puts them in their place.
    Rebuild(Json),
    /// Makes all views anew beside the live ones and compares; exits with 1 where they differ.
    Verify(Json),
    /// Says in words what is known of a person, and what makes it so.
    Explain(Explain),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  momsflow user-views explain u-42\n  momsflow user-views explain 0b54c1f6-6f1d-4a3c-9d5e-2f4f3f6c8a11"
)]
pub struct Explain {
    /// A user id, an anonymous id or a person id.
    pub person: String,
}
