//! Unmodified SDKs from the registries against a real serve, with only their host changed.
//!
//! `make interop` installs all of them first and sets `MOMSFLOW_INTEROP`; without it an SDK that is not installed is
//! left out, and the table says so.

mod browser;
mod call;
mod pixel;
mod printed;
mod proxy;
mod sdk;
mod sent;
