//! Takes events over HTTP into the event log.
