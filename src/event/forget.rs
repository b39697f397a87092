//! The event by which a visitor asks to be forgotten, and what is left of other events then.

use std::borrow::Cow;

use super::object::Object;
use super::{Event, EventKind, RawJson, each_member, userprint};
use crate::userprint::State;

/// Name of the event that puts its anonymous id on the list of those that are to be forgotten.
pub const FORGOTTEN: &str = "Userprint Forgotten";

/// The anonymous id that an event asks to forget. Its `userprint_state` is what makes it such a wish: momsflow alone says
/// that, and only of a visitor whose cookie held.
pub fn forgotten<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    if event.kind != EventKind::Track || event.event.as_deref() != Some(FORGOTTEN) || event.trusted {
        return None;
    }
    let mut is_wish = false;
    each_member(event.context.as_ref()?.get(), |key, value| {
        is_wish |= key == "userprint_state" && value.trim_matches('"') == State::Forgotten.as_str();
    })?;
    event.anonymous_id.as_deref().filter(|_| is_wish)
}

/// The event without those of its visitor's ids that are to be forgotten. Its user stays.
pub fn without_ids<'a>(event: &Event<'a>, is_forgotten: impl Fn(&str) -> bool) -> Event<'a> {
    let mut event = event.clone();
    event.anonymous_id = event.anonymous_id.take().filter(|id| !is_forgotten(id));
    event.previous_id = event.previous_id.take().filter(|id| !is_forgotten(id));
    if userprint(&event).is_some_and(|id| is_forgotten(&id)) {
        event.context = event.context.take().map(|context| without_userprint(&context));
    }
    event
}

fn without_userprint(context: &RawJson<'_>) -> RawJson<'static> {
    let mut out = Object::with_room(context.get().len());
    // It was validated before.
    let _ = each_member(context.get(), |key, value| {
        if !matches!(key, "userprint" | "userprint_state") {
            out.raw(key, value);
        }
    });
    RawJson::Scanned(Cow::Owned(out.finish()))
}
