//! Takes out of JSON text what shall not be kept: members by name, and addresses.

use std::borrow::Cow;

use super::context::{parse_ip, truncate};
use super::object::{Object, each_item, each_member};
use super::{Policy, unescape};
use crate::config::IpPolicy;

/// How deep lists and batches may nest around an event of a refused payload; what lies deeper is not kept.
const MAX_AROUND: usize = 8;

/// Takes the named members out of a JSON object; a dotted name is a path, which goes through lists too.
/// Borrows where there was none of them.
pub(super) fn redact<'a>(raw: &'a str, names: &[impl AsRef<str>]) -> Cow<'a, str> {
    if names.is_empty() {
        return Cow::Borrowed(raw);
    }
    let mut is_named = false;
    let read = each_member(raw, |key, _| is_named |= is_on_path(&unescape(key), names));
    if read.is_some() && !is_named {
        return Cow::Borrowed(raw);
    }
    let mut out = Object::with_room(raw.len());
    let read = each_member(raw, |key, value| {
        let name = unescape(key);
        if !names.iter().any(|known| known.as_ref() == name) {
            out.raw(key, &redact_below(value, &paths_below(&name, names)));
        }
    });
    // Text that cannot be read may hold anything.
    Cow::Owned(read.map_or_else(|| "{}".to_owned(), |()| out.finish()))
}

fn is_on_path(name: &str, names: &[impl AsRef<str>]) -> bool {
    names.iter().any(|known| known.as_ref() == name) || !paths_below(name, names).is_empty()
}

/// What of the paths remains below a member.
fn paths_below<'n>(name: &str, names: &'n [impl AsRef<str>]) -> Vec<&'n str> {
    names
        .iter()
        .filter_map(|path| path.as_ref().strip_prefix(name)?.strip_prefix('.'))
        .collect()
}

fn redact_below<'a>(raw: &'a str, paths: &[&str]) -> Cow<'a, str> {
    match raw.as_bytes().first() {
        Some(b'{') if !paths.is_empty() => redact(raw, paths),
        Some(b'[') if !paths.is_empty() => map_items(raw, |item| {
            Some(match item.starts_with('{') {
                true => redact(item, paths),
                false => Cow::Borrowed(item),
            })
        }),
        _ => Cow::Borrowed(raw),
    }
}

/// A refused event, batch or list of events as it may be kept: without the named members of its properties and
/// traits, and with its addresses as the policy says. `None` where nothing may be kept of it.
///
/// A refused text need not be what it should be. Where members are to be redacted, what stands in the place of
/// properties, traits or context and is no object goes whole, and so does a text that cannot be read at all.
pub(super) fn redact_refused<'a>(raw: &'a str, policy: &Policy) -> Option<Cow<'a, str>> {
    if policy.redact.is_empty() && policy.ip == IpPolicy::Full {
        return Some(Cow::Borrowed(raw));
    }
    refused(raw.trim(), policy, 0)
}

fn refused<'a>(raw: &'a str, policy: &Policy, around: usize) -> Option<Cow<'a, str>> {
    if around > MAX_AROUND {
        return None;
    }
    match raw.as_bytes().first() {
        Some(b'{') => map_members(raw, |name, value| match name {
            "properties" | "traits" => payload(value, policy),
            "context" => redact_context(value, policy),
            "batch" => refused(value, policy, around + 1),
            _ => Some(Cow::Borrowed(value)),
        })
        .or_else(|| unreadable(raw, policy)),
        Some(b'[') => each_item(raw, |_| ())
            .map(|()| map_items(raw, |item| refused(item, policy, around + 1)))
            .or_else(|| unreadable(raw, policy)),
        _ => unreadable(raw, policy),
    }
}

fn payload<'a>(raw: &'a str, policy: &Policy) -> Option<Cow<'a, str>> {
    match raw.starts_with('{') {
        true => Some(redact(raw, &policy.redact)),
        false => unreadable(raw, policy),
    }
}

/// The same for a `context` alone, of an event or of a batch.
pub(super) fn redact_context<'a>(raw: &'a str, policy: &Policy) -> Option<Cow<'a, str>> {
    let one = |raw: &'a str| {
        map_members(raw, |name, value| match name {
            "traits" => payload(value, policy),
            "ip" => address(value, policy.ip),
            _ => Some(Cow::Borrowed(value)),
        })
    };
    match raw.as_bytes().first() {
        Some(b'{') => one(raw),
        Some(b'[') => Some(map_items(raw, |item| match item.starts_with('{') {
            true => one(item),
            false => unreadable(item, policy),
        })),
        _ => unreadable(raw, policy),
    }
}

fn address<'a>(raw: &'a str, policy: IpPolicy) -> Option<Cow<'a, str>> {
    if policy == IpPolicy::Full || raw == "null" {
        return Some(Cow::Borrowed(raw));
    }
    let address = serde_json::from_str::<Cow<'_, str>>(raw).ok();
    let address = address.as_deref().and_then(parse_ip)?;
    (policy == IpPolicy::Truncate).then(|| Cow::Owned(format!("\"{}\"", truncate(address))))
}

fn unreadable<'a>(raw: &'a str, policy: &Policy) -> Option<Cow<'a, str>> {
    (policy.redact.is_empty() || raw == "null").then_some(Cow::Borrowed(raw))
}

/// An object with its members changed or left out; borrowed where none was. `None` where it cannot be read.
fn map_members<'a>(
    raw: &'a str,
    mut change: impl FnMut(&str, &'a str) -> Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    let (mut out, mut is_changed) = (Object::with_room(raw.len()), false);
    each_member(raw, |key, value| match change(&unescape(key), value) {
        Some(changed) => {
            is_changed |= changed != value;
            out.raw(key, &changed);
        }
        None => is_changed = true,
    })?;
    Some(match is_changed {
        true => Cow::Owned(out.finish()),
        false => Cow::Borrowed(raw),
    })
}

/// A list with its items changed, or a number in their place: so short that no list grows, and pointers into it
/// stay right.
fn map_items<'a>(raw: &'a str, mut change: impl FnMut(&'a str) -> Option<Cow<'a, str>>) -> Cow<'a, str> {
    let (mut out, mut is_changed) = (String::with_capacity(raw.len()), false);
    let _ = each_item(raw, |item| {
        let changed = change(item).unwrap_or(Cow::Borrowed("0"));
        is_changed |= changed != item;
        out.push(if out.is_empty() { '[' } else { ',' });
        out.push_str(&changed);
    });
    out.push(']');
    match is_changed {
        true => Cow::Owned(out),
        false => Cow::Borrowed(raw),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(names: &[&str], ip: IpPolicy) -> Policy {
        Policy {
            max_event: 1000,
            ip,
            redact: names.iter().map(|&name| name.to_owned()).collect(),
            backdate_from: jiff::Timestamp::UNIX_EPOCH,
            userprints: None,
        }
    }

    #[test]
    fn named_members_go_however_they_are_written() {
        let names = ["email"];
        let raw = r#"{"email":"a@example.com", "n":1e2, "\u0065mail":"b@example.com", "x":{"email":1}}"#;
        assert_eq!(redact(raw, &names), r#"{"n":1e2,"x":{"email":1}}"#);
        assert!(matches!(redact(r#"{"n":1}"#, &names), Cow::Borrowed(_)));
        let odd = r#"{"\ud800":1,"email":"a@example.com"}"#;
        assert_eq!(redact(odd, &names), r#"{"\ud800":1}"#);
        assert_eq!(redact(r#"{"email":"a@example.com""#, &names), "{}");
    }

    #[test]
    fn a_dotted_name_is_a_path() {
        let raw = r#"{"user":{"email":1,"n":2},"email":3,"users":[{"email":4},5],"a.b":6}"#;
        for (name, left) in [
            (
                "user.email",
                r#"{"user":{"n":2},"email":3,"users":[{"email":4},5],"a.b":6}"#,
            ),
            (
                "users.email",
                r#"{"user":{"email":1,"n":2},"email":3,"users":[{},5],"a.b":6}"#,
            ),
            (
                "a.b",
                r#"{"user":{"email":1,"n":2},"email":3,"users":[{"email":4},5]}"#,
            ),
            ("email.n", raw),
            ("user.x", raw),
        ] {
            assert_eq!(redact(raw, &[name]), left, "{name}");
        }
    }

    #[test]
    fn a_refused_text_is_redacted_wherever_its_events_are() {
        let policy = policy(&["email"], IpPolicy::Full);
        let event = r#"{"traits":{"email":"a"},"context":{"traits":{"email":"a","age":1}},"email":"kept"}"#;
        let left = r#"{"traits":{},"context":{"traits":{"age":1}},"email":"kept"}"#;
        for around in [
            "X",
            r#"{"batch":[1,X],"context":null}"#,
            "[X]",
            r#"[{"batch":X}]"#,
        ] {
            let kept = redact_refused(&around.replace('X', event), &policy).map(Cow::into_owned);
            assert_eq!(kept, Some(around.replace('X', left).replace("[1,", "[0,")));
        }
        for member in [
            r#""properties":[{"email":"a"}]"#,
            r#""traits":"a""#,
            r#""context":"a""#,
            r#""batch":"a""#,
        ] {
            let event = format!(r#"{{"x":1,{member}}}"#);
            assert_eq!(redact_refused(&event, &policy).unwrap(), r#"{"x":1}"#);
        }
        for text in [r#"{"traits":{"email":"a""#, r#""a""#, "[{]"] {
            assert_eq!(redact_refused(text, &policy), None);
        }
    }

    #[test]
    fn no_depth_of_nesting_hides_a_member_or_overflows() {
        let policy = policy(&["email"], IpPolicy::Truncate);
        for around in [(r#"{"batch":["#, "]}"), ("[", "]"), (r#"{"batch":"#, "}")] {
            let event = r#"{"traits":{"email":"a@example.com"}}"#;
            let deep = format!("{}{event}{}", around.0.repeat(100_000), around.1.repeat(100_000));
            let kept = redact_refused(&deep, &policy).unwrap_or_default();
            assert!(!kept.contains("example"));
        }
    }

    #[test]
    fn an_address_is_cut_wherever_the_event_can_be_read() {
        let policy_of = |ip| policy(&[], ip);
        let event = r#"{"event":"x","context":{"ip":"203.0.113.77","page":{"ip":"kept"}},"ip":"1.2.3.4"}"#;
        let cut = r#"{"event":"x","context":{"ip":"203.0.113.0","page":{"ip":"kept"}},"ip":"1.2.3.4"}"#;
        for around in ["X", r#"{"batch":[7,X],"context":{}}"#, "[X]"] {
            let whole = around.replace('X', event);
            let kept = redact_refused(&whole, &policy_of(IpPolicy::Truncate)).unwrap();
            assert_eq!(kept, around.replace('X', cut));
            assert_eq!(redact_refused(&whole, &policy_of(IpPolicy::Full)).unwrap(), whole);
        }
        for (raw, policy, left) in [
            (r#"{"context":{"ip":7}}"#, IpPolicy::Truncate, r#"{"context":{}}"#),
            (
                r#"{"context":{"\u0069p":"\u0031.2.3.4"}}"#,
                IpPolicy::Truncate,
                r#"{"context":{"\u0069p":"1.2.3.0"}}"#,
            ),
            (
                r#"{"context":{"ip":"1.2.3.4"}}"#,
                IpPolicy::Drop,
                r#"{"context":{}}"#,
            ),
            (
                r#"{"context":[{"ip":"1.2.3.4"},7]}"#,
                IpPolicy::Drop,
                r#"{"context":[{},7]}"#,
            ),
            (r#"{"context":{"ip""#, IpPolicy::Drop, r#"{"context":{"ip""#),
            (r#"{"context" : {}}"#, IpPolicy::Drop, r#"{"context" : {}}"#),
        ] {
            assert_eq!(redact_refused(raw, &policy_of(policy)).unwrap(), left);
        }
    }
}
