//! Whether the source of an import is one that is meant.

use super::super::WrongUse;
use super::super::databases::open_events;
use crate::cli::{DEFAULT_IMPORT_SOURCE, Import};
use crate::config::{Config, is_name};
use crate::control::message::ImportTerms;
use crate::store::catalog;

/// How much a name must look like a known one to be taken for a slip.
const LIKENESS: f64 = 0.85;

/// Refuses what cannot be a name.
pub(super) fn check_name(source: &str) -> Result<(), WrongUse> {
    if is_name(source) {
        return Ok(());
    }
    Err(WrongUse(format!(
        "--source {source}: a name has 1 to 64 lower-case letters, digits, `-` and `_`"
    )))
}

/// Refuses a name that nothing knows: by a slip of the hand history would get a source of its own, and what came
/// live would be stored a second time.
pub(super) async fn check_known(
    config: &Config,
    terms: &ImportTerms,
    arguments: &Import,
) -> anyhow::Result<()> {
    let source = &arguments.source;
    let mut known = terms.sources.clone();
    known.push(DEFAULT_IMPORT_SOURCE.to_owned());
    if arguments.new_source || known.contains(source) {
        return Ok(());
    }
    let client = open_events(config).await?;
    known.extend(catalog::sources(&client).await?);
    if known.contains(source) {
        return Ok(());
    }
    known.sort();
    known.dedup();
    Err(WrongUse(unknown(source, &known)).into())
}

fn unknown(source: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(name, source), name))
        .filter(|(likeness, _)| *likeness > LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("did you mean {name}? "))
        .unwrap_or_default();
    format!(
        "--source {source}: no source is called so, neither in the configuration nor among the events; \
         there are {}\n\nhint: {nearest}--new-source makes it, as a trusted one",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let known = ["app".to_owned(), "website".to_owned()];
        let said = unknown("webiste", &known);
        assert!(said.contains("there are app, website\n") && said.contains("did you mean website? --new"));
        assert!(!unknown("shop", &known).contains("did you mean"));
    }
}
