use std::collections::HashMap;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Map, Value, ValueKind};

use super::expected::expected;
use super::given::Places;
use super::validate::{Fault, validate};
use super::{Config, Role};

/// Variables that steer momsflow without being configuration, and those of the Python SDK, which may run beside it.
const NOT_CONFIG: [&str; 4] = [
    "MOMSFLOW_CONFIG",
    "MOMSFLOW_LOG_COLOR",
    "MOMSFLOW_HOST",
    "MOMSFLOW_STRICT",
];
/// Keys whose variables hold several values, with commas between them.
const LISTS: [&str; 4] = ["roles", "http.trusted_proxies", "ingest.redact", "kafka.brokers"];
pub(super) const PREFIX: &str = "MOMSFLOW_";
/// Variables of the test suite.
const TEST_PREFIX: &str = "MOMSFLOW_TEST_";

/// What the command line says over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub roles: Option<Vec<Role>>,
    /// Whether the command takes events, so that the files of the write keys must be readable.
    pub needs_keys: bool,
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
    let ours = our_variables(env);
    let file = overrides.config.as_deref();
    let text = file.map(read).transpose()?;
    let file = file.zip(text.as_deref());
    let merged = merged(file, &ours)?;
    let places = Places::new(file, overrides, &ours);
    let mut faults = Vec::new();
    let given = value(merged.clone());
    let readable = without_wrong_types(merged, &places, &mut faults);
    let mut config: Config = serde_ignored::deserialize(value(readable), |path| {
        let field = path.to_string();
        faults.push(Fault::unknown_key(&field, &places.unknown(&field)));
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
    let mut wrong = validate(&config, env, overrides.needs_keys);
    let in_force = serde_json::to_value(&config).unwrap_or_default();
    wrong
        .iter_mut()
        .for_each(|fault| places.complete(fault, &given, &in_force));
    faults.extend(wrong);
    if faults.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Faults(faults))
    }
}

/// File and environment, not looked at yet.
fn merged(file: Option<(&Path, &str)>, ours: &HashMap<String, String>) -> Result<Table, ConfigError> {
    let mut builder = config::Config::builder();
    if let Some((_, text)) = file {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    with_environment(builder, ours)
        .and_then(|builder| builder.build())
        .and_then(config::Config::try_deserialize)
        .map_err(|error| {
            let file = file.map(|(path, _)| format!("{}: ", path.display()));
            ConfigError::Malformed(format!("{}{error}", file.unwrap_or_default()))
        })
}

/// The variables that are configuration.
fn our_variables(env: &HashMap<String, String>) -> HashMap<String, String> {
    env.iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .filter(|(name, _)| !NOT_CONFIG.contains(&name.as_str()) && !name.starts_with(TEST_PREFIX))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

type Table = Map<String, Value>;
type Builder = config::ConfigBuilder<config::builder::DefaultState>;

fn value(table: Table) -> Value {
    Value::new(None, ValueKind::Table(table))
}

/// Leaves out each value that its field cannot take, with a fault for it, so that one does not hide the next.
fn without_wrong_types(merged: Table, places: &Places<'_>, faults: &mut Vec<Fault>) -> Table {
    let mut readable = Table::new();
    for (key, value) in merged {
        let is_one_of_many = matches!(value.kind, ValueKind::Table(_))
            && expected(&key).is_some_and(|expected| expected.is_list_of_sections);
        if is_one_of_many {
            faults.push(places.wrong_value(&key, &value));
            continue;
        }
        let kept = match value.kind {
            ValueKind::Table(section) => self::value(readable_section(
                std::slice::from_ref(&key),
                section,
                places,
                faults,
            )),
            ValueKind::Array(items) if is_list_of_tables(&items) => {
                let items = items.into_iter().enumerate();
                let readable = items.map(|(index, item)| readable_item(&key, index, item, places, faults));
                Value::new(None, ValueKind::Array(readable.collect()))
            }
            _ if fits(
                Table::from([(key.clone(), value.clone())]),
                (&key, &value),
                places,
                faults,
            ) =>
            {
                value
            }
            _ => continue,
        };
        readable.insert(key, kept);
    }
    readable
}

/// A section, or one within another, without the values that their fields cannot take.
fn readable_section(path: &[String], section: Table, places: &Places<'_>, faults: &mut Vec<Fault>) -> Table {
    let mut readable = Table::new();
    for (name, value) in section {
        let path = [path, std::slice::from_ref(&name)].concat();
        let alone = |value: Value| {
            let nested = path.iter().rev().fold(value, |inner, name| {
                self::value(Table::from([(name.clone(), inner)]))
            });
            nested.into_table().unwrap_or_default()
        };
        let field = path.join(".");
        let empty = alone(self::value(Table::new()));
        let kept = match &value.kind {
            ValueKind::Table(inner) if fits(empty, (&field, &value), places, faults) => {
                self::value(readable_section(&path, inner.clone(), places, faults))
            }
            ValueKind::Table(_) => continue,
            _ if fits(alone(value.clone()), (&field, &value), places, faults) => value,
            _ => continue,
        };
        readable.insert(name, kept);
    }
    readable
}

/// A table of a list without the values that their fields cannot take.
fn readable_item(
    list: &str,
    index: usize,
    item: Value,
    places: &Places<'_>,
    faults: &mut Vec<Fault>,
) -> Value {
    let ValueKind::Table(fields) = item.kind else {
        return item;
    };
    let wrap = |name: &str, value: &Value| {
        let item = self::value(Table::from([(name.to_owned(), value.clone())]));
        Table::from([(list.to_owned(), Value::new(None, ValueKind::Array(vec![item])))])
    };
    let fitting = fields.into_iter().filter(|(name, value)| {
        fits(
            wrap(name, value),
            (&format!("{list}.{index}.{name}"), value),
            places,
            faults,
        )
    });
    self::value(fitting.collect())
}

fn is_list_of_tables(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| matches!(item.kind, ValueKind::Table(_)))
}

/// Whether a field takes a value; `alone` is a configuration of nothing else.
fn fits(alone: Table, (field, value): (&str, &Value), places: &Places<'_>, faults: &mut Vec<Fault>) -> bool {
    let fits = self::value(alone).try_deserialize::<Config>().is_ok();
    if !fits {
        faults.push(places.wrong_value(field, value));
    }
    fits
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// `MOMSFLOW_HTTP__LISTEN=…` is `http.listen`, `MOMSFLOW_ROLES=ingest,capture` a list. Values stay text until their
/// field reads them: a key of `007` is no number.
fn with_environment(
    mut builder: Builder,
    ours: &HashMap<String, String>,
) -> Result<Builder, config::ConfigError> {
    let mut ours: Map<String, String> = ours
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for list in LISTS {
        let name = format!("{PREFIX}{}", list.to_uppercase().replace('.', "__"));
        if let Some(value) = ours.remove(&name) {
            let items: Vec<_> = value.split(',').map(str::to_owned).collect();
            builder = builder.set_override(list, items)?;
        }
    }
    let plain = Environment::with_prefix("MOMSFLOW")
        .prefix_separator("_")
        .separator("__")
        .source(Some(ours));
    Ok(builder.add_source(plain))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn loaded(toml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, toml).unwrap();
        let overrides = Overrides {
            config: Some(path),
            ..Overrides::default()
        };
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        load(&overrides, &env.iter().map(own).collect())
    }

    #[test]
    fn the_environment_is_text_until_a_field_reads_it() {
        for key in ["007", "1e3", "True", "0x10", " k", "a,b"] {
            let config = loaded("", &[("MOMSFLOW_WRITE_KEY", key)]).unwrap();
            assert_eq!(config.write_key.unwrap().reveal(), key);
        }
        let config = loaded(
            "roles = [\"ingest\"]",
            &[
                ("MOMSFLOW_DATA_DIR", "007"),
                ("MOMSFLOW_ROLES", "capture,ingest"),
                ("MOMSFLOW_INGEST__REDACT", "0,email"),
                ("MOMSFLOW_HTTP__TRUSTED_PROXIES", "10.0.0.1,10.1.0.0/16"),
                ("MOMSFLOW_HTTP__MAX_CONNECTIONS", "7"),
                ("MOMSFLOW_HTTP__MAX_BODY", "1048576"),
                ("MOMSFLOW_EVENT_LOG__PARTITIONS", "8"),
                ("MOMSFLOW_SHUTDOWN_DEADLINE", "3s"),
            ],
        )
        .unwrap();
        assert_eq!(config.data_dir, Path::new("007"));
        assert_eq!(config.roles, [Role::Capture, Role::Ingest]);
        assert_eq!(config.ingest.redact, ["0", "email"]);
        let proxies = config.http.trusted_proxies.iter().map(ToString::to_string);
        assert!(proxies.eq(["10.0.0.1/32", "10.1.0.0/16"]));
        assert_eq!(config.http.max_connections, 7);
        assert_eq!(config.http.max_body.as_u64(), 1 << 20);
        assert_eq!(config.event_log.partitions, 8);
        assert_eq!(config.shutdown_deadline.as_secs(), 3);
    }

    #[test]
    fn a_key_is_text_and_never_empty() {
        for (toml, env) in [
            ("write_key = 12345", None),
            ("write_key = \" \"", None),
            ("", Some(("MOMSFLOW_WRITE_KEY", ""))),
        ] {
            let refused = loaded(toml, env.as_slice()).unwrap_err().to_string();
            assert!(refused.contains("  write_key: "), "{refused}");
            assert!(!refused.contains("12345"), "{refused}");
        }
    }
}
