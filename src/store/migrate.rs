//! Migrations of both databases, under an advisory lock.
