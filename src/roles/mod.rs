//! The roles. None imports another; `app` starts those that the config names.

pub mod capture;
pub mod ingest;
pub mod pixel;
pub mod user_views;
