//! The HTTP server: keys, body caps, errors to statuses, probes.
