//! The one pass over a line: finds the words that vary and writes the text with masks.
//!
//! Text that stays is not copied word by word: `copied` is how far the output has come, and the
//! stretch before a mask is copied when the mask is written.

use super::MASK;
use super::names::{is_date_name, is_host, is_unit};
use super::stretch;

/// A byte of a word: a letter, digit, `_`, `-`, `.` or any byte from 0x80 up.
const WORD: u8 = 1;
const DIGIT: u8 = 2;
const DOT: u8 = 4;
/// A byte between words that may begin or join something: `=`, quotes, `@`, `:`.
const MARK: u8 = 8;
/// A byte that may stand between two masks that become one.
const JOINS: u8 = 16;
const HEX: u8 = 32;
/// A byte that ends the value after `=`.
const ENDS_VALUE: u8 = 64;
/// A byte of a word that is neither digit nor dot.
const NOT_NUMBER: u8 = 128;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.' || b >= 0x80 {
            class |= WORD;
        }
        if class & WORD != 0 && !b.is_ascii_digit() && b != b'.' {
            class |= NOT_NUMBER;
        }
        if b.is_ascii_digit() {
            class |= DIGIT;
        }
        if b == b'.' {
            class |= DOT;
        }
        if matches!(b, b'=' | b'"' | b'\'' | b'`' | b'@' | b':') {
            class |= MARK;
        }
        if matches!(
            b,
            b' ' | b'\t' | b',' | b'.' | b':' | b'/' | b'\\' | b'-' | b'+' | b'*' | b'%'
        ) || matches!(b, b'~' | b'&' | b'#' | b'|' | b';' | b'_')
        {
            class |= JOINS;
        }
        if b.is_ascii_hexdigit() {
            class |= HEX;
        }
        if b.is_ascii_whitespace()
            || b == 0
            || matches!(b, b',' | b';' | b')' | b']' | b'}' | b'>')
            || matches!(b, b'"' | b'\'' | b'&' | b'|')
        {
            class |= ENDS_VALUE;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

fn is(byte: u8, class: u8) -> bool {
    CLASS[usize::from(byte)] & class != 0
}

/// A quoted word longer than this is not looked for: one stray quote must not cost a scan of the
/// rest of the line, each time.
const QUOTED_BYTES_MAX: usize = 128;
/// Longest text with a word in it that is looked at to fold the masks around it.
const GAP_BYTES_MAX: usize = 16;

/// Where the output stood before the last word with a mask, to write an address as one mask.
#[derive(Clone, Copy, Default)]
struct Before {
    word: usize,
    masked_len: usize,
    copied: usize,
    folds: bool,
}

pub struct Pass<'t, 'o> {
    text: &'t [u8],
    masked: &'o mut Vec<u8>,
    /// `text[..copied]` is in the output, as it was or masked.
    copied: usize,
    /// The output ends with a mask, and `copied` is where its value ended.
    folds: bool,
    before: Before,
    /// No address is looked for before here: a run of colons costs one look, not one each.
    no_address_before: usize,
    /// Blanks or signs stand in a row somewhere, so a stretch is not copied as it is.
    has_runs: bool,
}

impl<'t, 'o> Pass<'t, 'o> {
    /// Appends `text` with masks to `masked`.
    pub fn run(text: &'t [u8], masked: &'o mut Vec<u8>) {
        let mut pass = Pass {
            text,
            masked,
            copied: 0,
            folds: false,
            before: Before::default(),
            no_address_before: 0,
            has_runs: false,
        };
        pass.scan();
        pass.copy(text.len());
    }

    /// Appends the text up to `end` that is not in the output yet.
    fn copy(&mut self, end: usize) {
        let stretch = &self.text[self.copied..end];
        if self.has_runs {
            stretch::copy(stretch, self.masked);
        } else {
            self.masked.extend_from_slice(stretch);
        }
    }

    /// Notes a byte that follows its like, and a tab.
    #[inline]
    fn note_run(&mut self, at: usize) {
        let byte = self.text[at];
        let before = at.checked_sub(1).map(|before| self.text[before]);
        self.has_runs |= byte == b'\t' || before == Some(byte);
    }

    fn scan(&mut self) {
        let text = self.text;
        let mut at = 0;
        // Where the word began that `at` is in; `at` itself between words.
        let mut word = 0;
        while at < text.len() {
            // Fast path: letters, eight at a time. Most of a message is made of them, and they
            // stay without anything being done.
            if let Some(eight) = text[at..].first_chunk::<8>() {
                let letters = letters_in_front(u64::from_le_bytes(*eight));
                at += letters;
                if letters == 8 {
                    continue;
                }
            }
            let byte = text[at];
            let class = CLASS[usize::from(byte)];
            if class & (WORD | MARK) == 0 {
                self.note_run(at);
                at += 1;
                word = at;
            } else if class & (DIGIT | DOT) != 0 {
                self.has_runs |= byte == b'.' && text.get(at + 1) == Some(&b'.');
                let mut end = at;
                let mut classes = if word < at { NOT_NUMBER } else { 0 };
                while let Some(&byte) = text.get(end) {
                    let class = CLASS[usize::from(byte)];
                    if class & WORD == 0 {
                        break;
                    }
                    classes |= class;
                    end += 1;
                }
                at = self.word(word, end, classes);
                if at > end {
                    word = at;
                }
            } else if class & WORD != 0 {
                self.note_run(at);
                at += 1;
            } else {
                self.note_run(at);
                at = match byte {
                    b'=' => self.value(at),
                    b'@' => self.address(word, at),
                    b':' => self.colon(word, at),
                    quote => self.quoted(quote, at),
                };
                word = at;
            }
        }
    }

    /// A word with a digit or a dot. Returns where to go on.
    fn word(&mut self, start: usize, end: usize, classes: u8) -> usize {
        let text = self.text;
        self.before = Before {
            word: start,
            masked_len: self.masked.len(),
            copied: self.copied,
            folds: self.folds,
        };
        let mut trimmed = end;
        while trimmed > start && text[trimmed - 1] == b'.' {
            trimmed -= 1;
        }
        let word = &text[start..trimmed];
        // Fast path: digits and dots only, and no group of an address in front of a colon.
        let groups = word.len() <= 4 && text.get(end) == Some(&b':');
        if classes & (NOT_NUMBER | DIGIT) == DIGIT
            && !groups
            && text[start] != b'.'
            && text.get(end) != Some(&b'(')
        {
            return self.put(start, trimmed).max(end);
        }
        let dotted = classes & DOT != 0 && word.contains(&b'.');
        if dotted && is_host(word) {
            self.put(start, trimmed);
            return end;
        }
        // `jk2_init()`: a function is named by its digits.
        if classes & DIGIT == 0 || (text[end..].starts_with(b"()") && !text[start].is_ascii_digit())
        {
            return end;
        }
        if groups
            && text
                .get(end + 1)
                .is_some_and(|&byte| is(byte, HEX) || byte == b':')
            && let Some(address_end) = self.ipv6(start)
        {
            self.put(start, address_end);
            return address_end;
        }
        if is_code(word) {
            return end;
        }
        if !dotted {
            return match varying_part(word) {
                Some(varying) => self.put(start + varying, trimmed).max(end),
                None => end,
            };
        }
        let mut piece_start = start;
        let mut next = end;
        while piece_start < trimmed {
            let rest = &text[piece_start..trimmed];
            let length = rest
                .iter()
                .position(|&byte| byte == b'.')
                .unwrap_or(rest.len());
            let piece_end = piece_start + length;
            if let Some(varying) = varying_part(&text[piece_start..piece_end]) {
                next = self.put(piece_start + varying, piece_end).max(end);
            }
            piece_start = piece_end + 1;
        }
        next
    }

    /// At `=`: the value after it, if a key stands before it.
    fn value(&mut self, at: usize) -> usize {
        let text = self.text;
        let start = at + 1;
        let keyed = at > 0
            && matches!(text[at - 1], b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b']');
        let Some(&first) = text.get(start).filter(|_| keyed) else {
            return start;
        };
        if matches!(first, b'"' | b'\'') {
            let rest = &text[start + 1..text.len().min(start + 1 + QUOTED_BYTES_MAX)];
            return match memchr::memchr(first, rest) {
                Some(0) | None => start + 1,
                Some(length) => {
                    self.put(start + 1, start + 1 + length);
                    start + length + 2
                }
            };
        }
        if is(first, ENDS_VALUE) || matches!(first, b'=' | b'<' | b'[' | b'{' | b'(' | b'~') {
            return start;
        }
        let mut end = start;
        while end < text.len() && !is(text[end], ENDS_VALUE) {
            end += 1;
        }
        while end > start + 1 && matches!(text[end - 1], b'.' | b':') {
            end -= 1;
        }
        self.put(start, end).max(end)
    }

    /// At `@`: an e-mail address, if words stand on both sides and the right one is a dotted name.
    fn address(&mut self, word: usize, at: usize) -> usize {
        let text = self.text;
        if at == 0 || !is(text[at - 1], WORD) {
            return at + 1;
        }
        let mut end = at + 1;
        let mut dots = 0;
        while end < text.len() && is(text[end], WORD) {
            dots += usize::from(text[end] == b'.');
            end += 1;
        }
        while end > at + 1 && text[end - 1] == b'.' {
            end -= 1;
            dots -= 1;
        }
        let ends_with_letters =
            text[at + 1..end].ends_with(b".") || text[end - 1].is_ascii_alphabetic();
        if dots == 0 || !ends_with_letters {
            return at + 1;
        }
        self.forget(word);
        self.put(word, end);
        end
    }

    /// At `:`: an IPv6 or hardware address whose first group has no digit, or that begins with it.
    fn colon(&mut self, word: usize, at: usize) -> usize {
        let text = self.text;
        let next = text.get(at + 1).copied().unwrap_or(b' ');
        if !is(next, HEX) && next != b':' {
            return at + 1;
        }
        let after_word = at > 0 && is(text[at - 1], WORD);
        let start = if after_word { word } else { at };
        if at - start > 4 || start < self.copied {
            return at + 1;
        }
        match self.ipv6(start) {
            Some(end) => {
                self.put(start, end);
                end
            }
            None => at + 1,
        }
    }

    /// The end of an address that begins at `start`, looked for once in each run of its bytes.
    fn ipv6(&mut self, start: usize) -> Option<usize> {
        if start < self.no_address_before {
            return None;
        }
        let run = address_bytes(&self.text[start..]);
        self.no_address_before = start + run.len();
        ipv6_end(self.text, start, run)
    }

    /// At a quote: one word in quotes is a value, unless a colon after it makes it a key.
    fn quoted(&mut self, quote: u8, at: usize) -> usize {
        let text = self.text;
        let start = at + 1;
        if at > 0 && is(text[at - 1], WORD) {
            return start;
        }
        let mut end = start;
        let limit = text.len().min(start + QUOTED_BYTES_MAX);
        while end < limit && text[end] != quote && !text[end].is_ascii_whitespace() {
            end += 1;
        }
        if end == start || end == limit || text[end] != quote {
            return start;
        }
        let after = text.get(end + 1).copied().unwrap_or(b' ');
        if is(after, WORD) && after != b'.' || after == b':' {
            return start;
        }
        self.put(start, end);
        end + 1
    }

    /// Takes the masks of the word at `word` back, if it has any.
    fn forget(&mut self, word: usize) {
        if self.before.word == word && self.copied > word {
            self.masked.truncate(self.before.masked_len);
            self.copied = self.before.copied;
            self.folds = self.before.folds;
        }
    }

    /// Masks `text[start..end]`, and what belongs to it: a sign, date names and padding before
    /// it, a unit after it; joined to the last mask if only joiners stand between. Returns where
    /// the masked value ends.
    fn put(&mut self, start: usize, end: usize) -> usize {
        let text = self.text;
        let end = value_end(text, end);
        // Fast path: the next number of an address, a version, a time.
        if self.folds && start == self.copied + 1 && is(text[self.copied], JOINS) {
            self.copied = end;
            return end;
        }
        let start = self.value_start(start);
        if self.folds && (joins(&text[self.copied..start]) || self.repeats(start)) {
            self.copied = end;
            return end;
        }
        self.copy(start);
        self.masked.extend_from_slice(MASK);
        self.copied = end;
        self.folds = true;
        end
    }

    /// `blk_1 blk_2`: whether the word before `start` also stood before the last mask.
    fn repeats(&self, start: usize) -> bool {
        let gap = &self.text[self.copied..start];
        let length = gap.iter().rev().take_while(|&&byte| is(byte, WORD)).count();
        let (joiners, word) = gap.split_at(gap.len() - length);
        let before = &self.masked[..self.masked.len() - MASK.len()];
        length > 0
            && (1..=GAP_BYTES_MAX).contains(&joiners.len())
            && joiners.iter().all(|&byte| is(byte, JOINS))
            && before.ends_with(word)
            && before
                .len()
                .checked_sub(length + 1)
                .is_none_or(|at| !is(before[at], WORD))
    }

    fn value_start(&self, mut start: usize) -> usize {
        let text = self.text;
        let is_sign = |at: usize| matches!(text[at], b'-' | b'+');
        if start > self.copied
            && is_sign(start - 1)
            && (start - 1 == self.copied || !text[start - 2].is_ascii_alphanumeric())
        {
            start -= 1;
        }
        // `Fri Jun 17`: at most two names.
        for _ in 0..2 {
            let mut name_end = start;
            while name_end > self.copied && matches!(text[name_end - 1], b' ' | b',') {
                name_end -= 1;
            }
            let mut name = name_end;
            while name > self.copied && name_end - name < 9 && text[name - 1].is_ascii_lowercase() {
                name -= 1;
            }
            if name > self.copied && text[name - 1].is_ascii_uppercase() {
                name -= 1;
            }
            let whole = name == 0 || !is(text[name - 1], WORD);
            if name_end == start || !whole || !is_date_name(&text[name..name_end]) {
                break;
            }
            start = name;
        }
        start
    }
}

/// The end of a value with what belongs to it after it: `3 ms`, `5 %`, `10:00 PM UTC`, and the same
/// amount in brackets: `4M(256M)`, `1165 bytes (1.13 KB)`.
fn value_end(text: &[u8], end: usize) -> usize {
    let unit = unit_end(text, end);
    let end = if unit == end {
        end
    } else {
        unit_end(text, unit)
    };
    match text[end..] {
        [b'(', b'0'..=b'9', ..] => amount_end(text, end + 1, UnitIs::Optional).unwrap_or(end),
        [b' ', b'(', b'0'..=b'9', ..] => amount_end(text, end + 2, UnitIs::There).unwrap_or(end),
        _ => end,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum UnitIs {
    Optional,
    There,
}

/// Longest unit in brackets: `MiB/s`.
const UNIT_BYTES_MAX: usize = 5;

/// The end of `1.13 KB)` that begins at `start`: digits, dots and commas, then letters, `/` and `%`.
fn amount_end(text: &[u8], start: usize, unit_is: UnitIs) -> Option<usize> {
    let rest = &text[start..];
    let digits = rest
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b','))
        .count();
    let blank = usize::from(rest.get(digits) == Some(&b' '));
    let unit = rest[digits + blank..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'%'))
        .take(UNIT_BYTES_MAX + 1)
        .count();
    let fits = if unit == 0 {
        unit_is == UnitIs::Optional && blank == 0
    } else {
        unit <= UNIT_BYTES_MAX
    };
    let end = digits + blank + unit;
    (fits && rest.get(end) == Some(&b')')).then_some(start + end + 1)
}

fn unit_end(text: &[u8], end: usize) -> usize {
    let rest = match text[end..] {
        [b'%', ..] => return end + 1,
        [b' ', ref rest @ ..] => rest,
        _ => return end,
    };
    if rest.first() == Some(&b'%') {
        return end + 2;
    }
    let eight = rest.first_chunk::<8>();
    let mut length = eight.map_or(0, |eight| letters_in_front(u64::from_le_bytes(*eight)));
    if length == 8 || rest.len() < 8 {
        let more = rest[length..].iter().take(8);
        length += more.take_while(|byte| byte.is_ascii_alphabetic()).count();
    }
    if rest.starts_with("µs".as_bytes()) {
        length = "µs".len();
    }
    let closed = |&byte: &u8| byte == b'.' || !is(byte, WORD);
    if rest.get(length).is_none_or(closed) && is_unit(&rest[..length]) {
        end + 1 + length
    } else {
        end
    }
}

/// How many of eight bytes, in little-endian order, are ASCII letters before the first that is
/// none.
fn letters_in_front(eight: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // Adding to seven bits cannot carry into the next byte; the eighth bit then tells `>= limit`.
    let lower = (eight | (0x20 * ONES)) & !HIGH;
    let from_a = lower + (0x80 - b'a' as u64) * ONES;
    let after_z = lower + (0x80 - b'z' as u64 - 1) * ONES;
    let letters = from_a & !after_z & !eight & HIGH;
    ((letters ^ HIGH).trailing_zeros() / 8) as usize
}

/// Whether two masks with `gap` between them are one: joiners, and at most one date name, zone
/// or unit among them.
fn joins(gap: &[u8]) -> bool {
    let joiner = |&byte: &u8| is(byte, JOINS);
    // From one value to the other: `24M->4M`, whose `-` belongs to the word in front.
    if matches!(gap, b">" | b"->" | b"=>" | b" -> " | b" => ") {
        return true;
    }
    let before = gap.iter().take_while(|byte| joiner(byte)).count();
    if before == gap.len() {
        return true;
    }
    if gap.len() > GAP_BYTES_MAX {
        return false;
    }
    let after = gap.iter().rev().take_while(|byte| joiner(byte)).count();
    let name = &gap[before..gap.len() - after];
    after > 0 && before > 0 && (is_date_name(name) || is_unit(name))
}

/// Where the varying part of a word without dots begins: at its first digit, or before it if the
/// letters there belong to an id. `None` if it has no digit.
fn varying_part(word: &[u8]) -> Option<usize> {
    let digit = word.iter().position(u8::is_ascii_digit)?;
    if is_uuid(word) {
        return Some(0);
    }
    let delimiter = |&byte: &u8| byte == b'_' || byte == b'-';
    let part = word[..digit]
        .iter()
        .rposition(delimiter)
        .map_or(0, |at| at + 1);
    if part == digit {
        return Some(digit);
    }
    let length = word[digit..]
        .iter()
        .position(delimiter)
        .unwrap_or(word.len() - digit);
    let part_bytes = &word[part..digit + length];
    // Letters before the digit belong to the id if all is hexadecimal, or letters and digits
    // take turns; else they name what is numbered, as in `disk7`.
    let hexadecimal = part_bytes.len() >= 6 && part_bytes.iter().all(u8::is_ascii_hexdigit);
    let digit_runs = part_bytes
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() && !pair[1].is_ascii_digit())
        .count()
        + usize::from(part_bytes.last().is_some_and(u8::is_ascii_digit));
    let scrambled = part_bytes.len() >= 8 && digit_runs >= 2;
    Some(if hexadecimal || scrambled {
        part
    } else {
        digit
    })
}

/// `G1`, `R14`, `S3`: a capital and one or two digits name a kind, as errors and collectors are named.
fn is_code(word: &[u8]) -> bool {
    matches!(
        word,
        [b'A'..=b'Z', b'0'..=b'9'] | [b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9']
    )
}

fn is_uuid(word: &[u8]) -> bool {
    word.len() >= 36
        && word[..36].iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The end of an IPv6 or hardware address that begins at `start`: hexadecimal groups of at most
/// four digits with `::` once or seven colons, or six groups of two; with at least one digit.
fn ipv6_end(text: &[u8], start: usize, run: &[u8]) -> Option<usize> {
    let address = run.strip_suffix(b".").unwrap_or(run);
    let double = address.windows(2).any(|pair| pair == b"::");
    let address = match address {
        [front @ .., b':'] if !front.ends_with(b":") => front,
        whole => whole,
    };
    let colons = memchr::memchr_iter(b':', address).count();
    let has_digit = address.iter().any(u8::is_ascii_digit);
    let groups_fit = address
        .split(|&byte| byte == b':')
        .all(|group| group.len() <= 4 || memchr::memchr(b'.', group).is_some());
    let hardware = colons == 5
        && address
            .split(|&byte| byte == b':')
            .all(|group| group.len() == 2);
    let closed = text
        .get(start + address.len())
        .is_none_or(|&byte| !byte.is_ascii_alphanumeric());
    let is_address = (double && address.len() > 2) || colons == 7 || hardware;
    (has_digit && groups_fit && closed && is_address).then_some(start + address.len())
}

/// The bytes in front that an address may have, at most 48.
fn address_bytes(text: &[u8]) -> &[u8] {
    let address = |&&byte: &&u8| is(byte, HEX) || byte == b':' || byte == b'.';
    &text[..text.iter().take(48).take_while(address).count()]
}
