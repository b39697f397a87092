//! Integration tests, in one binary so that linking is paid once, against the real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::too_many_lines)] // tables of cases

mod capture;
mod cdnow;
mod cli;
mod cloned;
mod demo;
mod deploy;
mod embedded_postgres;
mod event_log;
mod http_answers;
mod http_bodies;
mod http_keys;
mod http_support;
mod http_transport;
mod identity;
mod interop;
mod kafka;
mod layering;
mod lifecycle;
mod log_contract;
mod models;
mod moves;
mod pixel;
mod pixel_http;
mod pixel_lane;
mod place;
mod postgres_tls;
mod schema;
mod serve;
mod shared;
mod soak;
mod spool;
mod support;
mod user_views;
mod waiting;
