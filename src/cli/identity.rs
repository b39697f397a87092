use clap::{Args, Subcommand};

use super::Json;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "A visitor of the site has an anonymous id, a user a user id. An event of a trusted source that has both is an edge between them, and the visitor's history becomes the user's.\n\nExamples:\n  momsflow identity show u-42\n  momsflow identity show 0b54c1f6-6f1d-4a3c-9d5e-2f4f3f6c8a11 --json\n  momsflow identity revoke 17 --dry-run\n  momsflow identity revoke 17 --reason 'support logged in on her tablet'"
)]
pub enum Identity {
    /// Shows what is known of a user or an anonymous id: edges with their evidence, claims, and whose its events are.
    Show {
        /// A user id or an anonymous id.
        id: String,
        #[command(flatten)]
        output: Json,
    },
    /// Takes an anonymous id away from a user, for ever; says first what that changes, and asks.
    Revoke(Revoke),
    /// Derives edges and claims once more from the stored events, and adds what is missing. Beside a running serve.
    #[command(
        after_help = "For after a rolling upgrade from a momsflow that did not know edges yet: what its captures stored meanwhile has none. Repeating it changes nothing.\n\nExamples:\n  momsflow identity rebuild --dry-run\n  momsflow identity rebuild"
    )]
    Rebuild {
        /// Says what it would add, and changes nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: Json,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "The events that name the user themselves stay the user's; only the visitor's events without a user move.\n\nExamples:\n  momsflow identity revoke 17 --dry-run\n  momsflow identity revoke 17 --yes --reason 'shared computer'"
)]
pub struct Revoke {
    /// The edge's number, from identity show.
    pub edge: i64,
    /// Why, for those who look later.
    #[arg(long)]
    pub reason: Option<String>,
    /// Does not ask.
    #[arg(long)]
    pub yes: bool,
    /// Says what it would change, and changes nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: Json,
}
