//! Takes a body apart by its brackets and quotes, which costs a fraction of reading it.

use super::scan::plain;
use super::unescape;

/// A part of an object one of whose members is a list.
pub(super) enum Part<'a> {
    Member(&'a str, &'a str),
    /// The list begins.
    List,
    /// What stands between two commas of the list, whether it is JSON or not.
    Item(&'a str),
    /// The member that should be a list is none.
    NoList,
}

/// Shows an object's members, each key as it stands between its quotes, but of the member `list` its items. `None`
/// where the text is no object; some parts may have been shown by then.
///
/// Items are not read. Where each of them is JSON, so is the whole text: whoever reads them finds what is wrong.
pub(super) fn split<'a>(raw: &'a str, list: &str, mut visit: impl FnMut(Part<'a>)) -> Option<()> {
    let mut text = Splitter { text: raw, at: 0 };
    text.take(b'{')?;
    if text.take(b'}').is_none() {
        loop {
            text.member(list, &mut visit)?;
            if text.take(b',').is_none() {
                break text.take(b'}')?;
            }
        }
    }
    text.space();
    (text.at == raw.len()).then_some(())
}

/// Whether a text is JSON, storable or not.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

struct Splitter<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Splitter<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes a byte and the space around it.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        self.space();
        Some(())
    }

    fn member(&mut self, list: &str, visit: &mut impl FnMut(Part<'a>)) -> Option<()> {
        let key = self.value()?;
        let name = key
            .strip_prefix('"')?
            .strip_suffix('"')
            .filter(|_| is_json(key))?;
        self.take(b':')?;
        let is_list = unescape(name) == list;
        if is_list && self.take(b'[').is_some() {
            visit(Part::List);
            return self.items(visit);
        }
        let value = self.value().filter(|value| is_json(value))?;
        visit(match is_list {
            true => Part::NoList,
            false => Part::Member(name, value),
        });
        Some(())
    }

    /// The rest of a list behind its bracket.
    fn items(&mut self, visit: &mut impl FnMut(Part<'a>)) -> Option<()> {
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            visit(Part::Item(self.value()?));
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    /// Passes a value and gives its text.
    fn value(&mut self) -> Option<&'a str> {
        let start = self.at;
        match self.peek()? {
            b'"' => self.string()?,
            b'{' | b'[' => self.brackets()?,
            _ => {
                let rest = self.text[start..].bytes();
                self.at += rest
                    .take_while(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
                    .count();
            }
        }
        Some(&self.text[start..self.at])
    }

    /// Passes all until as many brackets are closed as were opened.
    fn brackets(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at += plain(self.text.as_bytes().get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> impl Strategy<Value = String> {
        let tokens = vec![
            "{", "}", "[", "]", ":", ",", "\"a\"", "\"a\":1", "1", "null", "\"", "\\", "\\\"", "ü", " ",
        ];
        proptest::collection::vec(proptest::sample::select(tokens), 0..8).prop_map(|tokens| tokens.concat())
    }

    fn parts(raw: &str) -> Option<String> {
        let mut parts = String::new();
        split(raw, "batch", |part| match part {
            Part::Member(key, value) => parts += &format!("{key}={value} "),
            Part::List => parts += "list ",
            Part::Item(item) => parts += &format!("{item} "),
            Part::NoList => parts += "none ",
        })?;
        Some(parts)
    }

    #[test]
    fn members_and_items_come_as_they_are_written() {
        let raw = r#" {"a" : 1 ,"b\u0061tch":[1, {"batch":[2, "]}"]}, "\"\\"],"batch":null,"batch":{"x":[3]},"batch":[ ]} "#;
        let expected = r#"a=1 list 1 {"batch":[2, "]}"]} "\"\\" none none list "#;
        assert_eq!(parts(raw).unwrap(), expected);
        assert_eq!(parts(r#"{ }"#).unwrap(), "");
        assert_eq!(
            parts(r#"{"batch":[1,]}"#).unwrap(),
            "list 1  ",
            "an item that is no JSON"
        );
    }

    #[test]
    fn what_is_no_object_is_not_split() {
        for raw in [
            "",
            "1",
            "[]",
            "{",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{a:1}"#,
            r#"{"\x":1}"#,
            r#"{"a":1}}"#,
            r#"{"a":[}"#,
            r#"{"a":{]}"#,
            r#"{"batch":[1 2]}"#,
            r#"{"batch":[1}"#,
            r#"{"batch":["a\"#,
            r#"{"batch":[1]"#,
        ] {
            assert_eq!(parts(raw), None, "{raw}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A text is JSON exactly where it can be split and each item is JSON.
        #[test]
        fn the_parts_tell_of_the_whole(list in tokens(), rest in tokens()) {
            for raw in [format!(r#"{{"batch":[{list}],"a":{rest}1}}"#), format!("{{{rest}\"batch\":[{list}]}}")] {
                let mut are_json = true;
                let mut items = 0;
                let is_split = split(&raw, "batch", |part| {
                    if let Part::Item(item) = part {
                        are_json &= is_json(item);
                        items += 1;
                    }
                });
                prop_assert_eq!(is_split.is_some() && are_json, is_json(&raw), "{}", raw);
                if is_json(&raw) && !raw[9..].contains("batch") {
                    let value: serde_json::Value = serde_json::from_str(&raw).unwrap_or_default();
                    prop_assert_eq!(value["batch"].as_array().map_or(0, Vec::len), items);
                }
            }
        }
    }
}
