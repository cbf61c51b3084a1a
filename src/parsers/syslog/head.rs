//! The heads of RFC 3164 and its relatives: `<34>Oct 11 22:14:15 host app[pid]: message`. The RFC
//! only describes what was seen, so this reads what daemons, relays and log files really hold, but
//! takes a record without a priority for syslog only if an application is named.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::{Parts, When};
use crate::parsers::level;
use crate::parsers::stamp::{self, Offset, Rfc3339};

/// Longest name of an application (with its version or path) that is looked for.
const TAG_LEN_MAX: usize = 80;

/// Longest host name: that of the DNS.
const HOST_LEN_MAX: usize = 255;

/// Reads a whole record:
///
/// * `Mon dd HH:MM:SS` (also with a year or decimals) or an RFC 3339 time, then host, tag and
///   message. With a priority the tag may be missing, and so may the host before a tag.
/// * A priority and a tag (`<13>app[1]: …`) or a kernel time (`<6>[ 12.5] …`), without a time.
/// * `last message repeated 2 times`, with or without a host.
/// * The line heads of the USENIX failure data archive: label, epoch second, date and node before.
#[inline]
pub fn read(record: &[u8], last: &mut Last) -> Option<Parts> {
    let (priority, start) = match super::priority(record) {
        Some((priority, len)) => (Some(priority), len),
        None => (None, archive_prefix(record)),
    };
    let mut parts = Parts {
        priority,
        ..Parts::default()
    };
    let (time, sureness) = match last.yearless(record, start) {
        Some(span) => (span, Sureness::Tag),
        None => match timestamp(record, start) {
            Some((span, read)) => {
                let sureness = sureness(read);
                parts.time = read.time.map_or(When::Missing, When::Known);
                (span, sureness)
            }
            None => {
                // No time at all: only a priority makes it syslog.
                priority?;
                let rest = &record[start..];
                let tag = tag(rest, Words::One);
                if tag.is_none() && !rest.starts_with(b"[") {
                    return None;
                }
                parts.message = start..record.len();
                parts.take(record, start, tag);
                return Some(parts.trimmed(record));
            }
        },
    };
    if matches!(parts.time, When::Missing) {
        parts.time = When::Text(time.clone());
    }
    let mut at = time.end + usize::from(record.get(time.end) == Some(&b':'));
    // One space or more: `combo  -- root[2421]: ROOT LOGIN` has them before the tag.
    at += spaces(&record[at..], 1)?;
    if is_repetition(&record[at..]) {
        parts.message = at..record.len();
        return Some(parts.trimmed(record));
    }
    let host = host(&record[at..]);
    let is_strict = priority.is_none() && sureness != Sureness::Tag;
    match host {
        Some(len)
            if !record[at..at + len].ends_with(b":") && !is_tag_with_pid(&record[at..at + len]) =>
        {
            parts.host = at..at + len;
            let rest = at + len + spaces(&record[at + len..], 0)?;
            if is_strict && level::from_word(&record[parts.host.clone()]).is_some() {
                return None;
            }
            parts.message = rest..record.len();
            if is_repetition(&record[rest..]) {
                return Some(parts.trimmed(record));
            }
            let tag = tag(
                &record[rest..],
                if is_strict { Words::One } else { Words::Few },
            );
            // Cisco's firewalls name no program: `HOST : text`.
            let nameless = record[rest..].starts_with(b": ");
            if nameless {
                parts.message.start += 2;
            }
            let enough = match (&tag, sureness) {
                _ if priority.is_some() => true,
                (None, Sureness::Tag) if nameless => true,
                (None, _) | (_, Sureness::None) => false,
                (Some(tag), Sureness::Pid) => !tag.pid.is_empty(),
                (Some(tag), _) => {
                    !is_strict
                        || level::from_word(&record[rest + tag.app.start..rest + tag.app.end])
                            .is_none()
                }
            };
            if !enough {
                return None;
            }
            parts.take(record, rest, tag);
        }
        _ => {
            // No host: a local socket's `Jan  1 00:00:00 app[1]: message`.
            let tag = tag(&record[at..], Words::One);
            let enough = match &tag {
                _ if priority.is_some() => true,
                Some(tag) => !is_strict && !tag.pid.is_empty(),
                None => false,
            };
            if !enough {
                return None;
            }
            parts.message = at..record.len();
            parts.take(record, at, tag);
        }
    }
    Some(parts.trimmed(record))
}

/// Whether a record without a priority may have a head that [`read`] takes: it opens with a month,
/// with a time of RFC 3339, or with the prefix of the archive.
#[inline]
pub fn may_be(record: &[u8]) -> bool {
    match record {
        [
            b'A'..=b'Z',
            b'a'..=b'z',
            b'a'..=b'z',
            b' ',
            b' ' | b'0'..=b'9',
            ..,
        ] => true,
        [_, _, _, _, b'-', _, _, b'-', _, _, b'T', ..] => true,
        // The prefix has its first space behind the label and a point 16 bytes on, which settles
        // the usual times: `24/03/01 …`, `2024-03-01 00:00:00 …`, `240301 000000 …`.
        [_, _, b'/', ..] => false,
        [_, _, _, _, b'-', _, _, b'-', _, _, b' ', ..] if record.get(26) != Some(&b'.') => false,
        [_, _, _, _, _, _, b' ', ..] if record.get(22) != Some(&b'.') => false,
        [b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_', ..] => archive_prefix(record) > 0,
        _ => false,
    }
}

/// How much a time without a priority says about syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sureness {
    /// Any tag will do.
    Tag,
    /// As rsyslog (six decimals) and `journalctl -o short-iso` (`+0100`) write it: a tag of one
    /// word will do.
    Word,
    /// As anybody writes it: only `app[pid]:` will do.
    Pid,
    /// Decimals beyond six: never syslog.
    None,
}

fn sureness(read: Rfc3339) -> Sureness {
    match (read.decimals, read.offset) {
        (6, _) | (0, Offset::Basic) => Sureness::Word,
        (7.., _) => Sureness::None,
        _ => Sureness::Pid,
    }
}

impl Parts {
    /// Takes application, process and message from a tag found at `at`.
    fn take(&mut self, record: &[u8], at: usize, tag: Option<Tag>) {
        if let Some(tag) = tag {
            self.app = at + tag.app.start..at + tag.app.end;
            self.pid = at + tag.pid.start..at + tag.pid.end;
            self.message = (at + tag.end).min(record.len())..record.len();
        }
    }

    /// The message without white space around it, as the lines of a log file are read.
    fn trimmed(mut self, record: &[u8]) -> Parts {
        let text = &record[self.message.clone()];
        let start = text.len() - text.trim_ascii_start().len();
        self.message =
            self.message.start + start..self.message.start + start + text.trim_ascii().len();
        self
    }
}

/// `application[pid]:`, relative to where it was looked for.
struct Tag {
    app: Range<usize>,
    pid: Range<usize>,
    /// Behind the colon.
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    One,
    /// Also `Google Chrome[85294]:` and `syslogd 1.4.1:`.
    Few,
}

/// The tag at the start of `rest`.
fn tag(rest: &[u8], words: Words) -> Option<Tag> {
    let mut at = 0;
    // Fast path: one word up to `:` or `[`.
    let window = &rest[..rest.len().min(TAG_LEN_MAX)];
    while let Some(&byte) = window.get(at) {
        if CLASS[usize::from(byte)] & PLAIN != 0 {
            at += 1;
            continue;
        }
        match byte {
            b':' if at > 0 && is_end(rest, at + 1) => {
                return Some(Tag {
                    app: 0..at,
                    pid: 0..0,
                    end: at + 1,
                });
            }
            b'[' if at > 0 => {
                if let Some(tag) = with_pid(rest, at) {
                    return Some(tag);
                }
            }
            b' ' if words == Words::One => return None,
            b' ' => return few_words(rest, at),
            0..=31 | 127 => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The tag of one word and more; `space` is where the first word ends.
fn few_words(rest: &[u8], space: usize) -> Option<Tag> {
    let window = &rest[..rest.len().min(TAG_LEN_MAX)];
    let colon = window
        .windows(2)
        .position(|pair| pair == b": ")
        .or_else(|| window.strip_suffix(b":").map(<[u8]>::len))
        // `fw1 : x`: what stands where a tag would begins with the colon.
        .filter(|&colon| colon > space)?;
    let head = &window[..colon];
    // `syslogd 1.4.1:`, the version is no part of the name.
    let second = &head[space + 1..];
    if second.first().is_some_and(u8::is_ascii_digit)
        && second.contains(&b'.')
        && !second.contains(&b' ')
    {
        return (space > 0).then_some(Tag {
            app: 0..space,
            pid: 0..0,
            end: colon + 1,
        });
    }
    // `Google Chrome[85294]:`
    if memchr(b' ', &head[space + 1..])
        .is_none_or(|next| memchr(b' ', &head[space + next + 2..]).is_none())
    {
        let open = memchr(b'[', head)?;
        return with_pid(rest, open).filter(|tag| tag.end == colon + 1);
    }
    None
}

/// `app[123]:` or `app[123] (more): `, the bracket at `open`.
fn with_pid(rest: &[u8], open: usize) -> Option<Tag> {
    let digits = rest[open + 1..]
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let close = open + 1 + digits;
    if digits == 0 || rest.get(close) != Some(&b']') {
        return None;
    }
    let (app, pid) = (0..open, open + 1..close);
    match &rest[close + 1..] {
        [b':', ..] => Some(Tag {
            app,
            pid,
            end: close + 2,
        }),
        // launchd names the service that it speaks of: `launchd[1] (com.apple.quicklook[258]): `.
        [b' ', b'(', inner @ ..] => {
            let end = memmem::find(&inner[..inner.len().min(TAG_LEN_MAX)], b"): ")?;
            (!inner[..end].contains(&b' ')).then_some(Tag {
                app,
                pid,
                end: close + 3 + end + 2,
            })
        }
        _ => None,
    }
}

fn is_tag_with_pid(word: &[u8]) -> bool {
    memchr(b'[', word).is_some_and(|open| open > 0 && word.ends_with(b"]:"))
}

fn is_end(rest: &[u8], at: usize) -> bool {
    matches!(rest.get(at), None | Some(b' ' | b'\t' | b'\n'))
}

/// `last message repeated 2 times`, as syslogd and macOS write it.
fn is_repetition(rest: &[u8]) -> bool {
    rest.strip_prefix(b"--- ")
        .unwrap_or(rest)
        .starts_with(b"last message repeated ")
}

/// The length of the host name at the start of `rest`.
fn host(rest: &[u8]) -> Option<usize> {
    let window = &rest[..rest.len().min(HOST_LEN_MAX + 1)];
    let len = window
        .iter()
        .position(|&byte| CLASS[usize::from(byte)] & HOST == 0)?;
    (len > 0 && window[len] == b' ').then_some(len)
}

/// Bytes of a host's name.
const HOST: u8 = 1;
/// Bytes that neither end a tag nor speak against it.
const PLAIN: u8 = 2;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is = byte as u8;
        if is.is_ascii_alphanumeric()
            || is >= 128
            || matches!(
                is,
                b'.' | b'-' | b'_' | b':' | b'/' | b'[' | b']' | b'@' | b'%' | b'+' | b'#'
            )
        {
            class[byte] |= HOST;
        }
        if !matches!(is, b':' | b'[' | b' ' | 0..=31 | 127) {
            class[byte] |= PLAIN;
        }
        byte += 1;
    }
    class
};

/// The number of spaces at the start of `rest`, at least `least`, at most three.
fn spaces(rest: &[u8], least: usize) -> Option<usize> {
    let count = rest
        .iter()
        .take(4)
        .take_while(|byte| **byte == b' ')
        .count();
    (least..=3).contains(&count).then_some(count)
}

/// The last time without a year that was 15 bytes long, and the space behind it. Zeros are no time.
/// What it remembers saves work and never changes a result: such a time is told by these bytes.
#[derive(Debug, Default)]
pub struct Last([u8; 16]);

impl Last {
    /// What [`yearless`] says.
    #[inline]
    fn yearless(&mut self, record: &[u8], start: usize) -> Option<Range<usize>> {
        let head = record.get(start..)?.first_chunk::<16>();
        // Fast path: the same second as in the record before.
        if head == Some(&self.0) {
            return Some(start..start + 15);
        }
        let time = yearless(record, start)?;
        if let Some(head) = head
            && time.len() == 15
        {
            self.0 = *head;
        }
        Some(time)
    }
}

/// `Mar  1 00:00:00`, `Mar 1 2024 00:00:00`, `Mar 01 00:00:00.123` at `start`.
fn yearless(record: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = record.get(start..)?;
    if rest.len() < 14 || rest[3] != b' ' {
        return None;
    }
    stamp::month(&rest[..3])?;
    let (day, mut at) = match (rest[4], rest[5], rest[6]) {
        (b' ', day @ b'1'..=b'9', b' ') => (day - b'0', 7),
        (tens @ b'0'..=b'3', day @ b'0'..=b'9', b' ') => ((tens - b'0') * 10 + day - b'0', 7),
        (day @ b'1'..=b'9', b' ', _) => (day - b'0', 6),
        _ => return None,
    };
    if !(1..=31).contains(&day) {
        return None;
    }
    let mut with_year = false;
    if let [a, b, c, d, b' ', ..] = rest[at..]
        && [a, b, c, d].iter().all(u8::is_ascii_digit)
    {
        at += 5;
        with_year = true;
    }
    stamp::clock_second(rest.get(at..at + 8)?)?;
    at += 8;
    if rest.get(at) == Some(&b'.') {
        let digits = rest[at + 1..]
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        at += 1 + digits;
    }
    // Cisco's firewalls put a colon behind the year.
    (rest.get(at) == Some(&b' ') || with_year && rest[at..].starts_with(b": "))
        .then_some(start..start + at)
}

/// An RFC 3339 time at `start`, which a space follows.
fn timestamp(record: &[u8], start: usize) -> Option<(Range<usize>, Rfc3339)> {
    let rest = record.get(start..)?;
    let read = stamp::rfc3339(rest)?;
    (rest.get(read.len) == Some(&b' ')).then_some((start..start + read.len, read))
}

/// `- 1131566461 2005.11.09 dn228 ` before a syslog line: an alert label or `-`, the epoch second,
/// its date, the node. Its length, 0 if there is none.
fn archive_prefix(record: &[u8]) -> usize {
    let label = record
        .iter()
        .take(17)
        .take_while(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_' | b'0'..=b'9'))
        .count();
    let Some(rest) = record.get(label..) else {
        return 0;
    };
    // Most times and addresses end the label too early: `240301 000000 148 …`, `10.0.0.1 - …`.
    if rest.first() != Some(&b' ') || rest.get(16) != Some(&b'.') {
        return 0;
    }
    let is_date = |text: &[u8]| {
        text.len() == 24
            && text.iter().enumerate().all(|(at, byte)| match at {
                0 | 11 | 22 => *byte == b' ',
                16 | 19 => *byte == b'.',
                23 => *byte != b' ',
                _ => byte.is_ascii_digit(),
            })
    };
    if label == 0 || !rest.get(..24).is_some_and(is_date) {
        return 0;
    }
    let node = label + 23;
    memchr(b' ', &record[node..record.len().min(node + HOST_LEN_MAX)])
        .map_or(0, |len| node + len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_first_bytes_turn_away_no_head(
            parts in proptest::collection::vec(
                prop::sample::select(vec![
                    "- ", "R30_1_RAS ", "ABCDEF ", "240301 ", "2024-03-01 ", "1131566461 2005.11.09 dn228 ",
                    "Nov 9 12:01:01 ", "Nov  9 12:01:01 ", "Nov 09 2024 12:01:01.5 ", "host ", "app[12]: ",
                    "app: ", "2024-03-01T00:00:00.123456+01:00 ", "last message repeated 2 times", "x", " ",
                ]),
                0..7,
            )
        ) {
            let record = parts.concat().into_bytes();
            let read = read(&record, &mut Last::default());
            prop_assert!(read.is_none() || may_be(&record), "{}", record.escape_ascii());
        }
    }
}
