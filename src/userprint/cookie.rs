//! The cookie's text: `v1.<kid>.<id>.<day>.<tag>`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Uuid, Variant};

/// The first part of every cookie.
pub const VERSION: &str = "v1";

/// Bytes of a tag: HMAC-SHA-256, truncated to 128 bits.
pub(super) const TAG: usize = 16;

/// Why a cookie is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is no userprint")]
    Malformed,
    #[error("its key is not known here")]
    UnknownKey,
    #[error("its tag is not of this text, this domain and this key")]
    WrongTag,
    #[error("it is out of date")]
    Expired,
}

impl Fault {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::WrongTag => "wrong_tag",
            Self::Expired => "expired",
        }
    }
}

/// A cookie taken apart and not verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) kid: &'a str,
    pub(super) id: Uuid,
    /// The day of its signature, counted from 1970-01-01 UTC.
    pub(super) day: i64,
    /// What the tag was made over.
    pub(super) signed: &'a str,
    pub(super) tag: [u8; TAG],
}

impl<'a> Parts<'a> {
    /// Takes a cookie apart. Each cookie has one spelling: what reads the same and is written otherwise is refused.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (signed, tag) = text.rsplit_once('.')?;
        let mut fields = signed.split('.');
        let (version, kid, id, day) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if version != VERSION || fields.next().is_some() {
            return None;
        }
        let mut bytes = [0; TAG];
        if URL_SAFE_NO_PAD.decode_slice(tag, &mut bytes).ok()? != TAG {
            return None;
        }
        Some(Self {
            kid,
            id: read_id(id)?,
            day: read_day(day)?,
            signed,
            tag: bytes,
        })
    }
}

/// What a tag is made over, but for the domain.
pub(super) fn signed(kid: &str, id: Uuid, day: i64) -> String {
    format!("{VERSION}.{kid}.{id}.{day}")
}

/// The whole cookie.
pub(super) fn whole(mut signed: String, tag: &[u8]) -> String {
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut signed);
    signed
}

fn read_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    let mut canonical = Uuid::encode_buffer();
    let is_canonical = id.as_hyphenated().encode_lower(&mut canonical) == text;
    (is_canonical && id.get_version_num() == 4 && id.get_variant() == Variant::RFC4122).then_some(id)
}

fn read_day(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    (is_plain && text.len() <= 6).then(|| text.parse().ok())?
}
