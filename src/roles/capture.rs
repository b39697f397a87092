//! Moves events from the log into PostgreSQL.
