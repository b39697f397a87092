use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

/// Borrows an optional text from the record where it has no escapes; serde alone borrows only a bare `Cow`.
pub(super) fn borrowed<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    Ok(Option::<Text<'a>>::deserialize(deserializer)?.map(|text| text.0))
}
