//! Integration tests, in one binary so that linking is paid once.
#![allow(clippy::unwrap_used)]

mod event_log;
mod log_contract;
