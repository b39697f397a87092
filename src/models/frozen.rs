//! Numbers that a fitted model is frozen with.

/// Rounds to what survives any JSON reader: at most 15 significant digits, and exponents that a power of ten held
/// exactly undoes, since readers that multiply digits by a power of ten (`serde_json` by default) are exact only then.
///
/// A model is made of such numbers before it scores anybody, so that scores do not change when it is read back.
pub(super) fn frozen(value: f64) -> f64 {
    let text = match value.abs() < 1e3 {
        true => format!("{value:.12}"),
        false => format!("{value:.11e}"),
    };
    // Adding zero takes the sign from a negative one.
    text.parse::<f64>().unwrap_or(value) + 0.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frozen_numbers_survive_json_to_the_last_bit(value in -1e30..1e30_f64, scale in -40..0_i32) {
            for value in [value, value * 10_f64.powi(scale)] {
                let frozen = frozen(value);
                let text = serde_json::to_string(&frozen).unwrap();
                let back: f64 = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(back.to_bits(), frozen.to_bits(), "{}", text);
                prop_assert!((frozen - value).abs() <= value.abs() * 1e-11 + 1e-12);
                prop_assert_eq!(super::frozen(frozen).to_bits(), frozen.to_bits());
            }
        }
    }
}
