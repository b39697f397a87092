//! JSON numbers: the grammar, and the range that is accepted.

/// The most digits that a number's mantissa may have.
const MAX_DIGITS: usize = 100;
/// Exponents beyond this are never in a double's range with [`MAX_DIGITS`] digits before them.
const MAX_EXPONENT: u32 = 500;

/// Reads the number at the start of `bytes`: its length, and whether it is in range.
/// `None` where no JSON number stands there.
pub(super) fn read(bytes: &[u8]) -> Option<(usize, bool)> {
    let digits_from = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let start = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits_from(start);
    if whole == 0 || (whole > 1 && bytes[start] == b'0') {
        return None;
    }
    let mut end = start + whole;
    let mut digits = whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits_from(end + 1);
        if fraction == 0 {
            return None;
        }
        digits += fraction;
        end += 1 + fraction;
    }
    let mut in_range = digits <= MAX_DIGITS;
    let mantissa = end;
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits_from(end + 1 + sign);
        if exponent == 0 {
            return None;
        }
        let written = &bytes[end + 1 + sign..end + 1 + sign + exponent];
        end += 1 + sign + exponent;
        in_range = in_range && fits(&bytes[..mantissa], &bytes[..end], written);
    }
    Some((end, in_range))
}

/// Whether a number with an exponent is in the range of a double, neither infinite nor rounded to nothing.
fn fits(mantissa: &[u8], number: &[u8], exponent: &[u8]) -> bool {
    let exponent = exponent.iter().fold(0_u32, |value, digit| {
        value.saturating_mul(10).saturating_add((digit - b'0').into())
    });
    if exponent > MAX_EXPONENT {
        return false;
    }
    let Some(value) = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
    else {
        return false;
    };
    let is_zero = mantissa.iter().all(|byte| !(b'1'..=b'9').contains(byte));
    value.is_finite() && (value != 0.0 || is_zero)
}
