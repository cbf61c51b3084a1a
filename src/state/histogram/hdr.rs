//! Distributions as HdrHistogram V2, compressed: integers of 10^-6, range 1 to 2^63 - 1.
//! Format: <https://github.com/HdrHistogram/HdrHistogram> (`encodeIntoCompressedByteBuffer`).

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::state::counts::Counts;

const COOKIE: u32 = 0x1c84_9303 | 0x10;
const COOKIE_COMPRESSED: u32 = 0x1c84_9304 | 0x10;

/// Writes many of them with one compressor, whose tables cost more than what they hold.
pub struct HdrEncoder {
    compress: Compress,
    plain: Vec<u8>,
}

impl Default for HdrEncoder {
    fn default() -> HdrEncoder {
        HdrEncoder {
            compress: Compress::new(Compression::default(), true),
            plain: Vec::new(),
        }
    }
}

impl HdrEncoder {
    pub(super) fn encode(&mut self, counts: &Counts) -> Vec<u8> {
        let plain = &mut self.plain;
        plain.clear();
        plain.extend(COOKIE.to_be_bytes());
        // The payload's length, once it is known.
        plain.extend(0u32.to_be_bytes());
        plain.extend(0u32.to_be_bytes());
        plain.extend(3u32.to_be_bytes());
        plain.extend(1u64.to_be_bytes());
        plain.extend((i64::MAX as u64).to_be_bytes());
        plain.extend(1f64.to_be_bytes());
        let head = plain.len();
        let mut next = 0u32;
        counts.for_each(|index, count| {
            let zeros = u32::from(index) - next;
            match zeros {
                0 => {}
                1 => put_zigzag(plain, 0),
                _ => put_zigzag(plain, -i64::from(zeros)),
            }
            put_zigzag(plain, i64::try_from(count).unwrap_or(i64::MAX));
            next = u32::from(index) + 1;
        });
        if plain.len() == head {
            put_zigzag(plain, 0);
        }
        let length = (plain.len() - head) as u32;
        plain[4..8].copy_from_slice(&length.to_be_bytes());

        let mut encoded = Vec::with_capacity(plain.len() / 2 + 64);
        encoded.extend(COOKIE_COMPRESSED.to_be_bytes());
        encoded.extend(0u32.to_be_bytes());
        self.compress.reset();
        loop {
            let taken = self.compress.total_in() as usize;
            let status = self
                .compress
                .compress_vec(&plain[taken..], &mut encoded, FlushCompress::Finish)
                .expect("memory takes all bytes");
            if status == Status::StreamEnd {
                break;
            }
            encoded.reserve(encoded.capacity());
        }
        let length = (encoded.len() - 8) as u32;
        encoded[4..8].copy_from_slice(&length.to_be_bytes());
        encoded
    }
}

/// ZigZag, then LEB128 whose ninth byte holds eight bits (the format's own variant).
fn put_zigzag(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    for _ in 0..8 {
        if rest < 0x80 {
            bytes.push(rest as u8);
            return;
        }
        bytes.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
