//! A scriptable log for tests of faults: rejects, loses an answer after writing, hangs.
