use std::collections::HashMap;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Map, Value, ValueKind};

use super::validate::{Fault, validate};
use super::{Config, Role};

/// Variables that steer momsflow without being configuration.
const NOT_CONFIG: [&str; 2] = ["MOMSFLOW_CONFIG", "MOMSFLOW_LOG_COLOR"];
/// Variables of the test suite.
const TEST_PREFIX: &str = "MOMSFLOW_TEST_";

/// What the command line says over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub roles: Option<Vec<Role>>,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the config file {} cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("the configuration cannot be understood: {0}")]
    Malformed(String),
    #[error("{} in the configuration:\n{}", count(.0.len()), list(.0))]
    Faults(Vec<Fault>),
}

fn count(faults: usize) -> String {
    match faults {
        1 => "1 fault".to_owned(),
        n => format!("{n} faults"),
    }
}

fn list(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(|fault| format!("  {fault}")).collect();
    lines.join("\n")
}

/// Reads file, environment and flags, in rising order of weight, and validates the result.
///
/// `env` is the environment, given as a map so that tests need not change the process's.
///
/// # Errors
/// All faults at once, each with its dotted field, what was expected, and a hint.
pub fn load(overrides: &Overrides, env: &HashMap<String, String>) -> Result<Config, ConfigError> {
    let mut builder = config::Config::builder();
    if let Some(path) = &overrides.config {
        let text = read(path)?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let merged: Table = builder
        .add_source(environment(env))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| ConfigError::Malformed(error.to_string()))?;

    let mut faults = Vec::new();
    let readable = without_wrong_types(merged, &mut faults);
    let mut config: Config = serde_ignored::deserialize(value(readable), |path| {
        faults.push(Fault::unknown_key(&path.to_string()));
    })
    .map_err(|error| ConfigError::Malformed(error.to_string()))?;
    // The order of the keys in a parsed section is by chance.
    faults.sort_by(|a, b| a.field.cmp(&b.field));
    if let Some(data_dir) = &overrides.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    if let Some(roles) = &overrides.roles {
        config.roles.clone_from(roles);
    }
    faults.extend(validate(&config, env));
    if faults.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Faults(faults))
    }
}

type Table = Map<String, Value>;

fn value(table: Table) -> Value {
    Value::new(None, ValueKind::Table(table))
}

/// Leaves out each value that its field cannot take, with a fault for it, so that one does not hide the next.
fn without_wrong_types(merged: Table, faults: &mut Vec<Fault>) -> Table {
    let mut readable = Table::new();
    for (key, value) in merged {
        let kept = match value.kind {
            ValueKind::Table(section) => {
                let wrap = |name: &str, value: &Value| {
                    let section = Table::from([(name.to_owned(), value.clone())]);
                    Table::from([(key.clone(), self::value(section))])
                };
                let fields = section
                    .into_iter()
                    .filter(|(name, value)| fits(wrap(name, value), &format!("{key}.{name}"), faults));
                self::value(fields.collect())
            }
            ValueKind::Array(items) if is_list_of_tables(&items) => {
                let wrap = |item: &Value| {
                    let list = Value::new(None, ValueKind::Array(vec![item.clone()]));
                    Table::from([(key.clone(), list)])
                };
                let items = items.into_iter().enumerate();
                let fitting =
                    items.filter(|(index, item)| fits(wrap(item), &format!("{key}.{index}"), faults));
                Value::new(None, ValueKind::Array(fitting.map(|(_, item)| item).collect()))
            }
            _ if fits(Table::from([(key.clone(), value.clone())]), &key, faults) => value,
            _ => continue,
        };
        readable.insert(key, kept);
    }
    readable
}

fn is_list_of_tables(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| matches!(item.kind, ValueKind::Table(_)))
}

fn fits(alone: Table, field: &str, faults: &mut Vec<Fault>) -> bool {
    match value(alone).try_deserialize::<Config>() {
        Ok(_) => true,
        Err(error) => {
            faults.push(Fault::wrong_type(field, &error));
            false
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// `MOMSFLOW_HTTP__LISTEN=…` is `http.listen`, `MOMSFLOW_ROLES=ingest,capture` a list.
fn environment(env: &HashMap<String, String>) -> Environment {
    let ours: Map<String, String> = env
        .iter()
        .filter(|(name, _)| name.starts_with("MOMSFLOW_"))
        .filter(|(name, _)| !NOT_CONFIG.contains(&name.as_str()) && !name.starts_with(TEST_PREFIX))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Environment::with_prefix("MOMSFLOW")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .list_separator(",")
        .with_list_parse_key("roles")
        .with_list_parse_key("http.trusted_proxies")
        .with_list_parse_key("ingest.redact")
        .with_list_parse_key("kafka.brokers")
        .source(Some(ours))
}
