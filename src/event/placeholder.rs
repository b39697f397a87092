/// Tells whether an id names nobody: what a client sends when a variable was not set.
///
/// Such an id of a person is stored as it came, but never makes an identity; everything that joins events into
/// persons asks here first. A messageId like this is none. Letter case and surrounding blanks do not matter.
pub fn is_placeholder(id: &str) -> bool {
    let id = id.trim();
    if id.len() > LONGEST {
        return false;
    }
    id.is_empty() || PLACEHOLDERS.iter().any(|known| known.eq_ignore_ascii_case(id))
}

const LONGEST: usize = 36;

const PLACEHOLDERS: [&str; 30] = [
    "null",
    "undefined",
    "nil",
    "none",
    "nan",
    "0",
    "-1",
    "guest",
    "anonymous",
    "anon",
    "unknown",
    "[object object]",
    "{}",
    "[]",
    "\"\"",
    "''",
    "true",
    "false",
    "n/a",
    "na",
    "-",
    "not set",
    "(not set)",
    "unset",
    "empty",
    "user_id",
    "userid",
    "anonymous_id",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nobody_are_known_in_any_case() {
        for id in [
            "",
            "  ",
            "null",
            "NULL",
            " Undefined ",
            "0",
            "guest",
            "[object Object]",
            "None",
            "nil",
        ] {
            assert!(is_placeholder(id), "{id:?}");
        }
        for id in [
            "u-1",
            "1",
            "00",
            "nullable",
            "guest-17",
            "Åse",
            "0198c7a2-5c5e-7cc0-9a2e-0123456789ab",
        ] {
            assert!(!is_placeholder(id), "{id:?}");
        }
        assert!(PLACEHOLDERS.iter().all(|known| known.len() <= LONGEST));
    }
}
