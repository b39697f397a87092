//! Decompression that never makes more than it may.

use std::io::Read;

use super::budget::{Overloaded, Reservation};

/// How much is decompressed, and asked of the budget, at a time.
const CHUNK: usize = 64 * 1024;
/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, what RFC 9659 allows in HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    /// With the zlib header that the RFC asks for, or raw, as some clients send it.
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// Reads the header Content-Encoding; `None` for what is not supported, several encodings among it.
    pub fn parse(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Recognises gzip that came without its header, as some SDKs send it: no JSON begins like that.
    pub fn or_sniffed(self, body: &[u8]) -> Self {
        if self == Self::Identity && body.starts_with(&[0x1f, 0x8b]) {
            return Self::Gzip;
        }
        self
    }
}

/// Why a body was not decompressed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("more than {0} bytes after decompression")]
    TooLarge(usize),
    #[error("the body is not what its content encoding says, or is cut short")]
    Malformed,
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
}

/// Decompresses a body to at most `cap` bytes, taking from the budget as the output grows.
///
/// Runs without yielding, so that there are never more decoders with their windows than worker threads.
///
/// # Errors
/// See [`InflateError`].
pub fn inflate(
    encoding: Encoding,
    body: Vec<u8>,
    cap: usize,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, InflateError> {
    let input = body.as_slice();
    match encoding {
        Encoding::Identity if body.len() > cap => Err(InflateError::TooLarge(cap)),
        Encoding::Identity => Ok(body),
        Encoding::Gzip => drain(flate2::read::MultiGzDecoder::new(input), cap, reservation),
        Encoding::Deflate if has_zlib_header(input) => {
            drain(flate2::read::ZlibDecoder::new(input), cap, reservation)
        }
        Encoding::Deflate => drain(flate2::read::DeflateDecoder::new(input), cap, reservation),
        Encoding::Brotli => drain(
            brotli_decompressor::Decompressor::new(input, 4096),
            cap,
            reservation,
        ),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(input).map_err(|_| InflateError::Malformed)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(|_| InflateError::Malformed)?;
            drain(decoder, cap, reservation)
        }
    }
}

/// RFC 1950: compression method 8, and the first two bytes a multiple of 31.
fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

fn drain(mut decoder: impl Read, cap: usize, reservation: &mut Reservation) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match decoder.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(InflateError::Malformed),
        };
        if out.len() + read > cap {
            return Err(InflateError::TooLarge(cap));
        }
        if out.len() + read > out.capacity() {
            // Doubling by hand keeps the allocation within the cap, and within what was reserved for it.
            let room = (out.capacity() * 2).clamp(out.len() + read, cap);
            reservation.grow(room - out.capacity())?;
            out.reserve_exact(room - out.len());
        }
        out.extend_from_slice(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::super::budget::Budget;
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn stops_at_the_cap_and_at_the_budget() {
        let bomb = gzip(&vec![b'x'; 1_000_000]);
        let budget = Budget::new(10_000_000);
        let unpack = |cap, budget: &std::sync::Arc<Budget>| {
            inflate(Encoding::Gzip, bomb.clone(), cap, &mut budget.reserve())
        };
        assert_eq!(unpack(1_000_000, &budget).unwrap().len(), 1_000_000);
        assert_eq!(unpack(999_999, &budget), Err(InflateError::TooLarge(999_999)));
        assert!(matches!(
            unpack(1_000_000, &Budget::new(500_000)),
            Err(InflateError::Overloaded(_))
        ));
    }

    proptest! {
        #[test]
        fn never_panics_and_never_exceeds_the_cap(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            encoding in proptest::sample::select(vec![Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd]),
        ) {
            if let Ok(out) = inflate(encoding, body, 1000, &mut Budget::new(100_000).reserve()) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }
}
