//! Sixteen bytes at once: where a JSON string stops, which bytes are digits, where lines end, where
//! a level may stand. On x86-64 the
//! masks come from SSE2, which every such processor has; elsewhere from a plain loop, which is
//! also the twin that the tests compare with. The only `unsafe` here calls functions of integers.

#![allow(
    unsafe_code,
    reason = "intrinsics over integers, no memory; the tests compare them with the plain twin"
)]

/// Bytes in a block.
pub const WIDTH: usize = 16;

/// Per byte of a block one bit, lowest first.
pub type Mask = u32;

/// The sixteen bytes from `at`, the first one lowest; zeros past the end of `bytes`.
#[inline(always)]
pub fn load(bytes: &[u8], at: usize) -> u128 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<WIDTH>()) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => load_tail(bytes, at),
    }
}

#[inline(never)]
fn load_tail(bytes: &[u8], at: usize) -> u128 {
    if at >= bytes.len() {
        return 0;
    }
    match bytes.last_chunk::<WIDTH>() {
        Some(last) => u128::from_le_bytes(*last) >> (8 * (at + WIDTH - bytes.len())),
        None => bytes[at..]
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u128::from(*byte)),
    }
}

/// The bytes at which reading a string stops (quote, backslash, control byte) and those that are
/// not ASCII.
#[inline(always)]
pub fn string_stops(block: u128) -> (Mask, Mask) {
    lanes::string_stops(block)
}

/// The bytes that may stand behind a word which is used as a level, or end the line: `:`, `]`, `>`,
/// `[`, `!` and the line feed; and those that are capitals.
#[inline(always)]
pub fn level_signs(block: u128) -> (Mask, Mask) {
    lanes::level_signs(block)
}

/// Calls `visit` with the place of every line feed, in order.
///
/// Four blocks make one mask, so a line costs a few instructions; a search per line would cost more
/// for its start than for its bytes, since most lines are a hundred bytes long.
#[inline(always)]
pub fn for_each_line_feed(bytes: &[u8], mut visit: impl FnMut(usize)) {
    let mut chunks = bytes.chunks_exact(4 * WIDTH);
    let mut at = 0;
    for chunk in chunks.by_ref() {
        let mut mask = 0;
        for (number, block) in chunk.chunks_exact(WIDTH).enumerate() {
            let block = u128::from_le_bytes(block.try_into().expect("a block has WIDTH bytes"));
            mask |= u64::from(lanes::line_feeds(block)) << (number * WIDTH);
        }
        while mask != 0 {
            visit(at + mask.trailing_zeros() as usize);
            mask &= mask - 1;
        }
        at += chunk.len();
    }
    for (number, &byte) in chunks.remainder().iter().enumerate() {
        if byte == b'\n' {
            visit(at + number);
        }
    }
}

/// The bytes that are `0` to `9`.
#[inline(always)]
pub fn digits(block: u128) -> Mask {
    lanes::digits(block)
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod lanes {
    use super::Mask;
    use std::arch::x86_64::*;

    #[inline(always)]
    pub fn string_stops(block: u128) -> (Mask, Mask) {
        // SAFETY: this module is compiled only where SSE2 is part of the target, as the function
        // needs; it takes integers and touches no memory.
        unsafe { string_stops_sse2(block) }
    }

    #[inline(always)]
    pub fn digits(block: u128) -> Mask {
        // SAFETY: as above.
        unsafe { digits_sse2(block) }
    }

    #[inline(always)]
    pub fn level_signs(block: u128) -> (Mask, Mask) {
        // SAFETY: as above.
        unsafe { level_signs_sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn level_signs_sse2(block: u128) -> (Mask, Mask) {
        let bytes = vector(block);
        let mut signs = _mm_setzero_si128();
        for sign in *b":]>[!\n" {
            signs = _mm_or_si128(signs, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(sign as i8)));
        }
        let place = _mm_sub_epi8(bytes, _mm_set1_epi8(b'A' as i8));
        let capitals = _mm_cmpeq_epi8(_mm_min_epu8(place, _mm_set1_epi8(25)), place);
        (
            _mm_movemask_epi8(signs) as Mask,
            _mm_movemask_epi8(capitals) as Mask,
        )
    }

    #[inline(always)]
    pub fn line_feeds(block: u128) -> Mask {
        // SAFETY: as above.
        unsafe { line_feeds_sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn line_feeds_sse2(block: u128) -> Mask {
        let feeds = _mm_cmpeq_epi8(vector(block), _mm_set1_epi8(b'\n' as i8));
        _mm_movemask_epi8(feeds) as Mask
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn string_stops_sse2(block: u128) -> (Mask, Mask) {
        let bytes = vector(block);
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let stops = _mm_or_si128(_mm_or_si128(quote, backslash), control);
        (
            _mm_movemask_epi8(stops) as Mask,
            _mm_movemask_epi8(bytes) as Mask,
        )
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn digits_sse2(block: u128) -> Mask {
        let value = _mm_sub_epi8(vector(block), _mm_set1_epi8(b'0' as i8));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value)) as Mask
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn vector(block: u128) -> __m128i {
        _mm_set_epi64x((block >> 64) as i64, block as i64)
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
use plain as lanes;

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod plain {
    use super::Mask;

    fn mask(block: u128, is: impl Fn(u8) -> bool) -> Mask {
        block
            .to_le_bytes()
            .iter()
            .enumerate()
            .fold(0, |mask, (at, byte)| mask | Mask::from(is(*byte)) << at)
    }

    pub fn string_stops(block: u128) -> (Mask, Mask) {
        (
            mask(block, |byte| byte == b'"' || byte == b'\\' || byte < 0x20),
            mask(block, |byte| byte >= 0x80),
        )
    }

    pub fn digits(block: u128) -> Mask {
        mask(block, |byte| byte.is_ascii_digit())
    }

    pub fn line_feeds(block: u128) -> Mask {
        mask(block, |byte| byte == b'\n')
    }

    pub fn level_signs(block: u128) -> (Mask, Mask) {
        (
            mask(block, |byte| b":]>[!\n".contains(&byte)),
            mask(block, |byte| byte.is_ascii_uppercase()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_agree_with_the_plain_twin_on_every_byte() {
        for byte in 0..=255u8 {
            for at in 0..WIDTH {
                let mut bytes = [b'a'; WIDTH];
                bytes[at] = byte;
                bytes[(at + 5) % WIDTH] = byte.wrapping_add(1);
                let block = load(&bytes, 0);
                assert_eq!(string_stops(block), plain::string_stops(block));
                assert_eq!(digits(block), plain::digits(block));
                assert_eq!(lanes::line_feeds(block), plain::line_feeds(block));
                assert_eq!(lanes::level_signs(block), plain::level_signs(block));
            }
        }
    }

    #[test]
    fn every_line_feed_is_visited_once_in_order() {
        for len in [0, 1, 15, 16, 63, 64, 65, 200] {
            for step in 1..9 {
                let bytes: Vec<u8> = (0..len)
                    .map(|at| if at % step == 0 { b'\n' } else { b'x' })
                    .collect();
                let mut seen = Vec::new();
                for_each_line_feed(&bytes, |at| seen.push(at));
                let want: Vec<usize> = (0..len).filter(|at| at % step == 0).collect();
                assert_eq!(seen, want, "{len} {step}");
            }
        }
    }

    #[test]
    fn loads_zeros_past_the_end() {
        let bytes: Vec<u8> = (1..=40).collect();
        for len in 0..=bytes.len() {
            for at in 0..=len + 2 {
                let mut want = [0; WIDTH];
                for (to, from) in want.iter_mut().zip(bytes[..len].iter().skip(at)) {
                    *to = *from;
                }
                assert_eq!(load(&bytes[..len], at).to_le_bytes(), want, "{len} {at}");
            }
        }
    }
}
