use std::process::ExitCode;

use super::{load, output};
use crate::cli::{ConfigCommand, Global};
use crate::config::reference;

pub(super) fn run(global: &Global, action: ConfigCommand) -> anyhow::Result<ExitCode> {
    match action {
        ConfigCommand::Reference => output::line(reference().trim_end())?,
        ConfigCommand::Show(as_json) => {
            let config = load(global)?;
            if as_json.json {
                output::json(&config)?;
            } else {
                output::line(toml::to_string(&config)?.trim_end())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
