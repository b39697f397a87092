use std::collections::HashMap;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp, Unit};

use super::output;
use crate::cli::{Pixel, PixelKeys};
use crate::config::{Config, Secret};
use crate::control::client::{Client, ControlError};
use crate::control::pixel::{ShownKey, shown};
use crate::data_dir::DataDir;
use crate::userprint::{Key, Ring, Terms, kept};

/// How long a new key of the config waits until it signs: by then it must be on every host.
const NOTICE: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn run(config: Config, action: Pixel) -> anyhow::Result<ExitCode> {
    let Pixel::Keys(action) = action;
    let now = Timestamp::now();
    match action {
        PixelKeys::List(json) => show(&list(&config, now).await?, json.json)?,
        PixelKeys::Rotate(json) if !config.userprint_keys.is_empty() => propose(now, json.json)?,
        PixelKeys::Rotate(json) => show(&rotate(&config, now).await?, json.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the running serve, else reads what it would.
async fn list(config: &Config, now: Timestamp) -> anyhow::Result<Vec<ShownKey>> {
    match Client::new(&config.data_dir).get("/userprint-keys").await {
        Err(ControlError::NotRunning { .. }) => {}
        asked => return Ok(asked?),
    }
    let ring = match config.userprint_keys.is_empty() {
        true => kept::read(&config.data_dir)?,
        false => Ring::new(configured(config)),
    };
    Ok(ring.map_or_else(Vec::new, |ring| shown(&ring, now)))
}

/// The config's keys. Whoever lists them may not be allowed to read them.
fn configured(config: &Config) -> Vec<Key> {
    let env: HashMap<String, String> = std::env::vars().collect();
    let keys = config.userprint_keys.iter().map(|key| {
        let secret = key.read_key(&env).unwrap_or_else(|_| Secret::new(""));
        Key::new(&*key.id, &secret, key.signs_from.unwrap_or(Timestamp::MIN))
    });
    keys.collect()
}

async fn rotate(config: &Config, now: Timestamp) -> anyhow::Result<Vec<ShownKey>> {
    let running = Client::new(&config.data_dir);
    match running.post("/userprint-keys/rotate", &()).await {
        Err(ControlError::NotRunning { .. }) => {}
        asked => return Ok(asked?),
    }
    let data_dir = DataDir::open(&config.data_dir)?;
    let lifetime = Terms::new(&config.pixel.cookie).lifetime;
    Ok(shown(&kept::rotate(data_dir.path(), now, lifetime)?, now))
}

/// Prints a new key for the config.
fn propose(now: Timestamp, json: bool) -> anyhow::Result<()> {
    let kept::Made { id, secret } = kept::make();
    let signs_from = (now + NOTICE).round(Unit::Second)?;
    let key = secret.reveal();
    if json {
        return output::json(&serde_json::json!({"id": id, "key": key, "signs_from": signs_from}));
    }
    output::line(&format!(
        "# Add this on every host that serves the pixel or ingest, and restart them before it signs. Older keys stay\n\
         # until their cookies are out of date (pixel.cookie.lifetime_days).\n\
         [[userprint_keys]]\nid = \"{id}\"\nkey = \"{key}\"\nsigns_from = \"{signs_from}\""
    ))
}

fn show(keys: &[ShownKey], json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&keys);
    }
    if keys.is_empty() {
        return output::line("no keys yet: the first start of serve makes one");
    }
    let row = |key: &ShownKey| {
        let from = key.signs_from.map(|from| format!("{from:.0}"));
        vec![key.id.clone(), key.standing.clone(), from.unwrap_or_default()]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    output::table(&["ID", "STANDING", "SIGNS FROM"], &rows)
}
