//! The private PostgreSQL cluster in the data dir.
