//! Reads JSON text once and refuses what PostgreSQL's jsonb cannot hold or read back.

use super::number;
use super::{JsonType, Reject, RejectCode, unescape};

/// How deep objects and arrays may nest below the scanned object.
pub const MAX_NESTING: usize = 64;

/// Validates the text of a JSON object and shows each of its members to `visit`: the key as it is written
/// between its quotes (see [`unescape`]), the value's text, and its type.
///
/// The whole text is checked: grammar, NUL characters, lone surrogates, numbers and nesting. Members are
/// shown as they are passed, so that some may have been shown before a fault is found further on.
///
/// # Errors
/// The first fault, with a JSON pointer relative to the object.
pub fn scan_object<'a>(
    raw: &'a str,
    mut visit: impl FnMut(&'a str, &'a str, JsonType),
) -> Result<(), Reject> {
    scan_all(raw, |depth, key, value, json_type| {
        if depth == 0 {
            visit(key, value, json_type);
        }
    })
}

/// As [`scan_object`], but shows the members of the objects and lists within as well: with their depth, which is 0 for
/// the object's own, and each before the member that it is part of.
pub(super) fn scan_all<'a>(
    raw: &'a str,
    mut visit: impl FnMut(usize, &'a str, &'a str, JsonType),
) -> Result<(), Reject> {
    let mut scanner = Scanner { text: raw, at: 0 };
    scanner.space();
    if scanner.peek() != Some(b'{') {
        return Err(no_object(raw));
    }
    match scanner.object(0, &mut visit) {
        Ok(()) if scanner.at_end() => Ok(()),
        Ok(()) => Err(malformed(raw)),
        Err(fault) if fault.code == RejectCode::MalformedJson => Err(malformed(raw)),
        Err(fault) => Err(fault.into_reject()),
    }
}

/// Says why a text that does not begin as an object is none.
fn no_object(raw: &str) -> Reject {
    match serde_json::from_str::<serde::de::IgnoredAny>(raw) {
        Ok(_) => Reject::whole(RejectCode::NotAnObject, "an event is a JSON object"),
        Err(_) => malformed(raw),
    }
}

/// Says what is wrong with the grammar in the words of serde_json, which names line and column.
fn malformed(raw: &str) -> Reject {
    let detail = match serde_json::from_str::<serde::de::IgnoredAny>(raw) {
        Err(error) => error.to_string(),
        Ok(_) => "not JSON".to_owned(),
    };
    Reject::whole(RejectCode::MalformedJson, detail)
}

/// A fault on its way up; the pointer's steps are added as the recursion unwinds, so that they cost nothing
/// while all is well.
struct Fault {
    code: RejectCode,
    detail: &'static str,
    steps: Vec<String>,
}

impl Fault {
    fn new(code: RejectCode, detail: &'static str) -> Box<Self> {
        Box::new(Self {
            code,
            detail,
            steps: Vec::new(),
        })
    }

    fn below(mut self: Box<Self>, step: &str) -> Box<Self> {
        self.steps.push(step.replace('~', "~0").replace('/', "~1"));
        self
    }

    fn into_reject(self) -> Reject {
        let mut pointer = String::new();
        for step in self.steps.iter().rev() {
            pointer.push('/');
            pointer.push_str(step);
        }
        Reject::at(self.code, pointer, self.detail)
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn at_end(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Box<Fault>> {
        if self.peek() != Some(byte) {
            return Err(grammar());
        }
        self.at += 1;
        Ok(())
    }

    fn value(
        &mut self,
        depth: usize,
        visit: &mut impl FnMut(usize, &'a str, &'a str, JsonType),
    ) -> Result<JsonType, Box<Fault>> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| JsonType::String),
            Some(b'{') => self.object(deeper(depth)?, visit).map(|()| JsonType::Object),
            Some(b'[') => self.array(deeper(depth)?, visit).map(|()| JsonType::Array),
            Some(b't') => self.word("true", JsonType::Boolean),
            Some(b'f') => self.word("false", JsonType::Boolean),
            Some(b'n') => self.word("null", JsonType::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(grammar()),
        }
    }

    /// Reads an object whose members stand at nesting `depth`.
    fn object(
        &mut self,
        depth: usize,
        visit: &mut impl FnMut(usize, &'a str, &'a str, JsonType),
    ) -> Result<(), Box<Fault>> {
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let start = self.at;
            let json_type = self
                .value(depth, visit)
                .map_err(|fault| fault.below(&unescape(key)))?;
            visit(depth, key, &self.text[start..self.at], json_type);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b'}'),
            }
        }
    }

    fn array(
        &mut self,
        depth: usize,
        visit: &mut impl FnMut(usize, &'a str, &'a str, JsonType),
    ) -> Result<(), Box<Fault>> {
        self.expect(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let mut index = 0_usize;
        loop {
            self.space();
            self.value(depth, visit)
                .map_err(|fault| fault.below(&index.to_string()))?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b']'),
            }
            index += 1;
        }
    }

    fn word(&mut self, word: &str, json_type: JsonType) -> Result<JsonType, Box<Fault>> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(grammar());
        }
        self.at += word.len();
        Ok(json_type)
    }

    fn number(&mut self) -> Result<JsonType, Box<Fault>> {
        match number::read(&self.text.as_bytes()[self.at..]) {
            Some((length, true)) => {
                self.at += length;
                Ok(JsonType::Number)
            }
            Some((_, false)) => Err(Fault::new(
                RejectCode::NumberOutOfRange,
                "the number is beyond the range of a double or has more than 100 digits",
            )),
            None => Err(grammar()),
        }
    }

    /// Reads a string and returns what stands between its quotes.
    fn string(&mut self) -> Result<&'a str, Box<Fault>> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        loop {
            self.at += plain(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return Err(grammar()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Box<Fault>> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => Err(grammar()),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Box<Fault>> {
        let lone = || {
            Fault::new(
                RejectCode::LoneSurrogate,
                "the string holds half of a surrogate pair",
            )
        };
        match self.hex(self.at + 2).ok_or_else(grammar)? {
            0 => Err(Fault::new(
                RejectCode::NulCharacter,
                "the string holds \\u0000, which cannot be stored",
            )),
            0xDC00..=0xDFFF => Err(lone()),
            0xD800..=0xDBFF => {
                let bytes = self.text.as_bytes();
                if bytes.get(self.at + 6) != Some(&b'\\') || bytes.get(self.at + 7) != Some(&b'u') {
                    return Err(lone());
                }
                match self.hex(self.at + 8).ok_or_else(grammar)? {
                    0xDC00..=0xDFFF => {
                        self.at += 12;
                        Ok(())
                    }
                    _ => Err(lone()),
                }
            }
            _ => {
                self.at += 6;
                Ok(())
            }
        }
    }

    fn hex(&self, from: usize) -> Option<u32> {
        let digits = self.text.as_bytes().get(from..from + 4)?;
        digits.iter().try_fold(0, |value, byte| {
            Some(value << 4 | char::from(*byte).to_digit(16)?)
        })
    }
}

/// How many bytes stand before the first quote, backslash or control character; it may stop short of it by less than
/// eight where the text ends.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // Sets the high bit of each byte below `n`, and maybe of some behind the first of them, which stays the lowest bit.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    for (at, word) in (0..).step_by(8).zip(words) {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8
}

fn deeper(depth: usize) -> Result<usize, Box<Fault>> {
    if depth >= MAX_NESTING {
        return Err(Fault::new(
            RejectCode::NestingTooDeep,
            "objects and arrays are nested more than 64 deep",
        ));
    }
    Ok(depth + 1)
}

fn grammar() -> Box<Fault> {
    Fault::new(RejectCode::MalformedJson, "not JSON")
}
