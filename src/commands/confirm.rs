//! Asking before something that cannot be taken back.

use std::io::{BufRead, IsTerminal, Write};

use super::WrongUse;

/// Asks whoever sits at the terminal.
///
/// # Errors
/// Where nobody can answer; with the hint that `--yes` does it unasked.
pub(super) fn confirmed(command: &str, question: &str) -> anyhow::Result<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(WrongUse(format!(
            "{command} asks first, and nobody is there to answer\n\n\
             hint: --yes to do it, --dry-run to see what it would change"
        ))
        .into());
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        assert!(is_yes("y\n") && is_yes(" YES \r\n"));
        assert!(!is_yes("\n") && !is_yes("") && !is_yes("yes, but") && !is_yes("n"));
    }
}
