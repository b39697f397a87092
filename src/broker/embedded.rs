//! The event log on the local disk, kept by fjall.
