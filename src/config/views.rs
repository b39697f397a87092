use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fault;

/// How events are made into what is known of people.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Views {
    /// When the views are brought up to date: `every 1m` (s, m or h), or five fields of cron in `timezone`.
    pub schedule: String,
    /// The most events of one transaction. More take more memory: some 3 kB an event.
    pub max_batch: usize,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            schedule: "every 1m".to_owned(),
            max_batch: 20_000,
        }
    }
}

impl Views {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if let Err(error) = Schedule::parse(&self.schedule) {
            faults.push(Fault::new(
                "views.schedule",
                format!("must be a schedule: {error}"),
                "schedule = \"every 1m\", or \"*/5 * * * *\"",
            ));
        }
        if !(100..=1_000_000).contains(&self.max_batch) {
            faults.push(Fault::new(
                "views.max_batch",
                "must be 100 to 1000000",
                "max_batch = 20000",
            ));
        }
    }
}

/// When something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    Every(std::time::Duration),
    /// Five fields.
    Cron(String),
}

impl Schedule {
    /// Reads `every 1m`, or five fields of cron.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(every) = text.strip_prefix("every ") {
            let every = humantime(every.trim())?;
            return match every.as_secs() {
                1..=86_400 => Ok(Self::Every(every)),
                _ => Err("every 1s to every 24h".to_owned()),
            };
        }
        let fields = text.split_whitespace().count();
        if fields != 5 {
            return Err(format!("it has {fields} fields, and cron has five"));
        }
        Ok(Self::Cron(text.to_owned()))
    }
}

fn humantime(text: &str) -> Result<std::time::Duration, String> {
    let text = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    humantime_serde::deserialize(text).map_err(|error| error.to_string())
}
