use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::databases::open_events;
use super::output::{self, printable};
use super::{PROBLEM, WrongUse};
use crate::cli::{DeadLetterFilter, DeadLetters, Json};
use crate::config::Config;
use crate::control::client::Client as Control;
use crate::control::message::{ReplayReply, ReplayRequest};
use crate::store::dead_letters::{self, Selection, Summary};

pub(super) async fn run(config: Config, action: DeadLetters) -> anyhow::Result<ExitCode> {
    match action {
        DeadLetters::List {
            filter,
            all,
            limit,
            output,
        } => {
            let client = open_events(&config).await?;
            let letters = dead_letters::list(&client, &selection(vec![], filter), all, limit).await?;
            list(&letters, output)?;
        }
        DeadLetters::Show { id, output } => return show(&config, id, output).await,
        DeadLetters::Replay {
            ids,
            filter,
            set,
            all,
            output,
        } => {
            let selection = chosen(ids, filter, all)?;
            let set = set
                .iter()
                .map(|text| assignment(text))
                .collect::<Result<_, _>>()?;
            return replay(&config, ReplayRequest { selection, set }, output).await;
        }
        DeadLetters::Discard { ids, filter, all } => {
            let selection = chosen(ids, filter, all)?;
            let client = open_events(&config).await?;
            let discarded = dead_letters::discard(&client, &selection, Timestamp::now()).await?;
            output::line(&format!("discarded {discarded}"))?;
            return found_all(selection.ids.len() as u64, discarded);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether as many letters were found as ids were named; says so where not.
fn found_all(named: u64, found: u64) -> anyhow::Result<ExitCode> {
    if found >= named {
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!(
        "{} of the ids do not wait: there are none, or they were replayed or discarded\n\n\
         hint: momsflow dead-letters list --all",
        named - found
    ))?;
    Ok(ExitCode::from(PROBLEM))
}

fn selection(ids: Vec<i64>, filter: DeadLetterFilter) -> Selection {
    Selection {
        ids,
        code: filter.code,
        source: filter.source,
    }
}

/// A selection for something that changes them: everything only when that is said.
fn chosen(ids: Vec<i64>, filter: DeadLetterFilter, all: bool) -> Result<Selection, WrongUse> {
    if ids.is_empty() && filter.code.is_none() && filter.source.is_none() && !all {
        return Err(WrongUse(
            "which dead letters?\n\nhint: name ids, or --code, or --source, or --all".to_owned(),
        ));
    }
    Ok(selection(ids, filter))
}

/// `/path=value`, where the value is JSON or else plain text.
fn assignment(text: &str) -> Result<(String, Box<RawValue>), WrongUse> {
    let raw = |value: &str| {
        serde_json::from_str(value).or_else(|_| RawValue::from_string(Value::from(value).to_string()))
    };
    match text.split_once('=').map(|(pointer, value)| (pointer, raw(value))) {
        Some((pointer, Ok(value))) if pointer.starts_with('/') => Ok((pointer.to_owned(), value)),
        _ => Err(WrongUse(format!(
            "--set {text}: expected /PATH=VALUE, as in --set /userId=u-42"
        ))),
    }
}

fn list(letters: &[Summary], as_json: Json) -> anyhow::Result<()> {
    if as_json.json {
        return output::json(&letters);
    }
    if letters.is_empty() {
        return output::line("no dead letters");
    }
    let rows: Vec<_> = letters
        .iter()
        .map(|letter| {
            let place = if letter.pointer.is_empty() {
                "-"
            } else {
                &letter.pointer
            };
            vec![
                letter.id.to_string(),
                format!("{:.0}", letter.received_at),
                state(letter).to_owned(),
                letter.code.clone(),
                printable(place),
                printable(letter.source.as_deref().unwrap_or("-")),
                printable(&letter.detail),
            ]
        })
        .collect();
    output::table(
        &["ID", "RECEIVED", "STATE", "CODE", "PLACE", "SOURCE", "DETAIL"],
        &rows,
    )
}

fn state(letter: &Summary) -> &'static str {
    match (letter.replayed_at, letter.discarded_at) {
        (Some(_), _) => "replayed",
        (_, Some(_)) => "discarded",
        _ => "waits",
    }
}

async fn show(config: &Config, id: i64, as_json: Json) -> anyhow::Result<ExitCode> {
    let client = open_events(config).await?;
    let Some((summary, letter)) = dead_letters::show(&client, id).await? else {
        bail!("there is no dead letter {id}\n\nhint: momsflow dead-letters list --all");
    };
    let payload = String::from_utf8_lossy(&letter.payload);
    if as_json.json {
        output::json(&json!({
            "letter": summary,
            "message_id": letter.message_id,
            "scope": letter.scope,
            "payload": payload,
        }))?;
    } else {
        list(&[summary], as_json)?;
        if let Some(scope) = &letter.scope {
            output::line(&format!("\ncame with: {}", printable(&scope.to_string())))?;
        }
        output::line(&format!(
            "\n{}",
            payload.lines().map(printable).collect::<Vec<_>>().join("\n")
        ))?;
        if letter.payload_length > letter.payload.len() as i64 {
            output::line(&format!("… cut, {} bytes in all", letter.payload_length))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(config: &Config, request: ReplayRequest, as_json: Json) -> anyhow::Result<ExitCode> {
    let named = request.selection.ids.len();
    let reply: ReplayReply = Control::new(&config.data_dir)
        .post("/dead-letters/replay", &request)
        .await?;
    if as_json.json {
        output::json(&reply)?;
    } else {
        output::line(&format!("replayed {}", reply.replayed.len()))?;
        for (id, reason) in &reply.refused {
            output::line(&format!("{id} is still not valid: {}", printable(reason)))?;
        }
    }
    if !reply.refused.is_empty() {
        return Ok(ExitCode::from(PROBLEM));
    }
    if as_json.json {
        return Ok(ExitCode::from(if reply.replayed.len() < named {
            PROBLEM
        } else {
            0
        }));
    }
    found_all(named as u64, reply.replayed.len() as u64)
}
