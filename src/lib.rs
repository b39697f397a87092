//! momsflow: an event pipeline for content platforms in one binary.
//!
//! ```text
//! SDKs, pages ─► http ─► roles::{ingest, pixel} ─► collector ─► broker (event log) ─► roles::capture ─► store (PostgreSQL)
//!                          │ one answer an event    │ event::decode   embedded | kafka   │ event::wire      events, positions,
//!                          └ userprint              └ event::wire                        └ one transaction  dead letters, rollups
//! ```
//!
//! Imports run one way: `main → commands → app → control → roles → collector →
//! {http, broker, store, embedded} → views → identity → {event, models} → userprint`; `clock`, `config`, `data_dir`, `demo`, `lifecycle`, `private`, `retry` and `telemetry` are leaves that anyone may use.

pub mod app;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod collector;
pub mod commands;
pub mod config;
pub mod control;
pub mod data_dir;
pub mod demo;
pub mod embedded;
pub mod event;
pub mod http;
pub mod identity;
pub mod lifecycle;
pub mod models;
pub mod private;
pub mod retry;
pub mod roles;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod userprint;
pub mod views;
