use super::{Event, JsonType, MAX_TEXT, Reject, RejectCode, scan_object};

/// Validates an event that was read from the log, which others may write to, and shows `visit` the members of
/// its properties: each key as it stands between its quotes, and its value's type.
///
/// # Errors
/// The first thing that PostgreSQL could not hold, with a JSON pointer into the record.
pub fn validate(event: &Event<'_>, mut visit: impl FnMut(&str, JsonType)) -> Result<(), Reject> {
    let ids = [
        ("user_id", &event.user_id),
        ("anonymous_id", &event.anonymous_id),
        ("group_id", &event.group_id),
        ("previous_id", &event.previous_id),
    ];
    for (field, id) in ids {
        check_text(field, id.as_deref(), RejectCode::IdTooLong)?;
    }
    for (field, name) in [
        ("event", event.event.as_deref()),
        ("name", event.name.as_deref()),
        ("source", Some(event.source.as_ref())),
    ] {
        check_text(field, name, RejectCode::NameTooLong)?;
    }
    if let Some(properties) = &event.properties {
        scan_object(properties.get(), |key, _, json_type| visit(key, json_type))
            .map_err(|reject| below("properties", reject))?;
    }
    for (field, json) in [("traits", &event.traits), ("context", &event.context)] {
        if let Some(json) = json {
            scan_object(json.get(), |_, _, _| ()).map_err(|reject| below(field, reject))?;
        }
    }
    Ok(())
}

fn check_text(field: &str, text: Option<&str>, too_long: RejectCode) -> Result<(), Reject> {
    let Some(text) = text else { return Ok(()) };
    if text.len() > MAX_TEXT {
        return Err(Reject::at(too_long, format!("/{field}"), "longer than 512 bytes"));
    }
    if text.contains('\0') {
        return Err(Reject::at(
            RejectCode::NulCharacter,
            format!("/{field}"),
            "holds a NUL character",
        ));
    }
    Ok(())
}

fn below(field: &str, reject: Reject) -> Reject {
    Reject {
        pointer: format!("/{field}{}", reject.pointer),
        ..reject
    }
}
