//! JSON documents: values over any number of lines become one line each. The scan trusts brackets and
//! quotes alone; what is no JSON behind it is the parsers' to say.

use crate::flow::document::{DOCUMENT_BYTES_MAX, Document};
use crate::parsers::documents::each::{Each, Step};
use crate::parsers::documents::reports::{LIFTED, Report};

/// Reads values one after the other: the elements of arrays, or objects.
pub struct Values {
    /// Which elements of each value are records; none: the value itself.
    paths: Vec<Each>,
    /// The path was asked for: if nothing has it, that is a mistake.
    asked: Option<String>,
    found: bool,
    /// Findings of scanners get the fields that all records have.
    lifts: bool,
    place: Place,
    scan: Scan,
    /// The value at hand, without blanks.
    value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between values.
    Top,
    /// In an array of the top, between elements.
    Array,
    /// In a value; whether it is an element of an array of the top.
    Value(bool),
    /// What follows is no JSON: lines.
    Lines,
}

/// How far a value has been scanned.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Values {
    fn new(paths: Vec<Each>) -> Values {
        Values {
            paths,
            asked: None,
            found: false,
            lifts: true,
            place: Place::Top,
            scan: Scan::default(),
            value: Vec::new(),
        }
    }

    /// Each element of an array.
    pub fn elements() -> Values {
        Values::new(Vec::new())
    }

    /// The findings of a report.
    pub fn report(report: Report) -> Values {
        Values::new(report.paths())
    }

    /// What a path names.
    pub fn each(each: Each) -> Values {
        Values {
            asked: Some(each.text()),
            lifts: false,
            ..Values::new(vec![each])
        }
    }

    /// Takes one byte; `false` if the byte is to be looked at again, in another place.
    fn take(&mut self, byte: u8, lines: &mut Vec<u8>) -> bool {
        let blank = byte.is_ascii_whitespace();
        match self.place {
            Place::Top if blank => {}
            Place::Top => match byte {
                b'[' => self.place = Place::Array,
                b'{' => {
                    self.place = Place::Value(false);
                    return false;
                }
                0xef | 0xbb | 0xbf => {}
                _ => {
                    self.place = Place::Lines;
                    return false;
                }
            },
            Place::Array if blank || byte == b',' => {}
            Place::Array if byte == b']' => self.place = Place::Top,
            // No value begins so: what follows is no JSON.
            Place::Array if byte == b'}' => {
                self.place = Place::Lines;
                return false;
            }
            Place::Array => {
                self.place = Place::Value(true);
                return false;
            }
            Place::Value(is_element) => return self.take_of_value(byte, is_element, lines),
            Place::Lines => lines.push(byte),
        }
        true
    }

    fn take_of_value(&mut self, byte: u8, is_element: bool, lines: &mut Vec<u8>) -> bool {
        let scan = &mut self.scan;
        if scan.in_string {
            if scan.escaped {
                scan.escaped = false;
            } else if byte == b'\\' {
                scan.escaped = true;
            } else if byte == b'"' {
                scan.in_string = false;
            }
            match byte {
                // No JSON, but a line has to stay one.
                b'\n' => self.value.extend_from_slice(b"\\n"),
                _ => self.value.push(byte),
            }
        } else {
            match byte {
                b'"' => scan.in_string = true,
                b'{' | b'[' => scan.depth += 1,
                b'}' | b']' if scan.depth > 0 => scan.depth -= 1,
                // A number or a word ends before what follows it.
                b',' | b']' | b'}' if scan.depth == 0 => {
                    self.finish(is_element, lines);
                    return false;
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                self.value.push(byte);
            } else if self.scan.depth == 0 {
                self.finish(is_element, lines);
                return true;
            }
        }
        if self.scan.depth == 0 && !self.scan.in_string && matches!(byte, b'}' | b']' | b'"') {
            self.finish(is_element, lines);
        }
        true
    }

    fn finish(&mut self, is_element: bool, lines: &mut Vec<u8>) {
        self.scan = Scan::default();
        self.place = match is_element {
            true => Place::Array,
            false => Place::Top,
        };
        let value = std::mem::take(&mut self.value);
        if self.paths.is_empty() {
            write(&value, &[], true, lines);
        }
        // Trivy wrote its results as an array of their own once.
        let trivy;
        let is_results = is_element && self.paths.is_empty() && is_trivy_result(&value);
        if is_results {
            lines.truncate(lines.len() - last_line(lines));
        }
        let paths = if is_results {
            trivy = Report::Trivy.paths();
            &trivy
        } else {
            &self.paths
        };
        for path in paths {
            let steps = match path.steps.split_first() {
                Some((Step::All, rest)) if is_element => rest,
                Some((Step::Key(_), [Step::All, rest @ ..])) if is_results => rest,
                _ => &path.steps,
            };
            let mut above = Vec::new();
            self.found |= walk(&value, steps, &mut above, self.lifts, lines);
        }
        self.value = value;
        self.value.clear();
    }
}

/// Bytes of the last line, with its line feed.
fn last_line(lines: &[u8]) -> usize {
    let text = lines.strip_suffix(b"\n").unwrap_or(lines);
    lines.len() - memchr::memrchr(b'\n', text).map_or(0, |feed| feed + 1)
}

fn is_trivy_result(value: &[u8]) -> bool {
    let mut keys = members(value).map(|(key, _)| unquoted(key));
    keys.next() == Some(b"Target")
        && keys.any(|key| matches!(key, b"Vulnerabilities" | b"Misconfigurations" | b"Secrets"))
}

impl Document for Values {
    fn feed(&mut self, bytes: &[u8], lines: &mut Vec<u8>) -> Result<(), String> {
        if self.place == Place::Lines {
            lines.extend_from_slice(bytes);
            return Ok(());
        }
        for &byte in bytes {
            while !self.take(byte, lines) {}
        }
        if self.value.len() > DOCUMENT_BYTES_MAX {
            return Err(format!(
                "a JSON value is larger than {} MiB; split it, for example with jq",
                DOCUMENT_BYTES_MAX >> 20
            ));
        }
        Ok(())
    }

    fn end(&mut self, lines: &mut Vec<u8>) -> Result<(), String> {
        if let Place::Value(is_element) = self.place {
            if self.scan.depth == 0 && !self.scan.in_string {
                self.finish(is_element, lines);
            } else {
                lines.append(&mut self.value);
                lines.push(b'\n');
                return Err(
                    "the JSON document ends too early; its last value is not whole".to_owned(),
                );
            }
        }
        match &self.asked {
            Some(path) if !self.found => {
                Err(format!("--each: nothing in the document is at \"{path}\""))
            }
            _ if self.place == Place::Array => Err("the JSON document ends too early".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Writes what `steps` name of `value`; whether all keys on the way were there. `above` are the scalar
/// fields of what stands around it.
fn walk<'v>(
    value: &'v [u8],
    steps: &[Step],
    above: &mut Vec<(&'v [u8], &'v [u8])>,
    lifts: bool,
    lines: &mut Vec<u8>,
) -> bool {
    match steps.split_first() {
        None => {
            write(value, above, lifts, lines);
            true
        }
        Some((Step::All, rest)) => {
            let mut found = value.first() == Some(&b'[');
            for element in items(value) {
                found |= walk(element, rest, above, lifts, lines);
            }
            found
        }
        Some((Step::Key(wanted), rest)) => {
            let Some((_, next)) = members(value).find(|(key, _)| unquoted(key) == &**wanted) else {
                return false;
            };
            let held = above.len();
            above.extend(members(value).filter(|(_, value)| is_scalar(value)));
            let found = walk(next, rest, above, lifts, lines);
            above.truncate(held);
            found
        }
    }
}

fn is_scalar(value: &[u8]) -> bool {
    !matches!(value.first(), Some(b'{' | b'[') | None)
}

/// One line for one element. Of fields with one name the innermost counts.
fn write(element: &[u8], above: &[(&[u8], &[u8])], lifts: bool, lines: &mut Vec<u8>) {
    if element.first() != Some(&b'{') {
        if above.is_empty() {
            lines.extend_from_slice(element);
            lines.push(b'\n');
            return;
        }
        lines.extend_from_slice(b"{\"value\":");
        lines.extend_from_slice(element);
        add(&[b"\"value\""], above, lines);
        lines.extend_from_slice(b"}\n");
        return;
    }
    let lifted = if lifts { lifted(element) } else { Vec::new() };
    let mut keys: Vec<&[u8]> = Vec::new();
    lines.push(b'{');
    for (key, value) in members(element) {
        // The text of a message takes the place of the object around it.
        if lifted.iter().any(|(name, _)| *name == key) {
            continue;
        }
        field(key, value, lines);
        keys.push(key);
    }
    for (name, value) in &lifted {
        field(name, value, lines);
        keys.push(name);
    }
    add(&keys, above, lines);
    lines.extend_from_slice(b"}\n");
}

fn field(key: &[u8], value: &[u8], lines: &mut Vec<u8>) {
    if lines.last() != Some(&b'{') {
        lines.push(b',');
    }
    lines.extend_from_slice(key);
    lines.push(b':');
    lines.extend_from_slice(value);
}

fn add(own: &[&[u8]], above: &[(&[u8], &[u8])], lines: &mut Vec<u8>) {
    for (at, (key, value)) in above.iter().enumerate() {
        let is_nearest = above[at + 1..].iter().all(|(other, _)| other != key);
        if is_nearest && !own.contains(key) {
            field(key, value, lines);
        }
    }
}

/// Quoted names and values that a finding of a scanner gets besides its own.
fn lifted(element: &[u8]) -> Vec<(&'static [u8], &[u8])> {
    let is_finding = members(element).any(|(key, _)| {
        matches!(
            unquoted(key),
            b"ruleId" | b"RuleID" | b"VulnerabilityID" | b"vulnerability" | b"check_id" | b"AVDID"
        )
    });
    let mut found: Vec<(&[u8], &[u8])> = Vec::new();
    if !is_finding {
        return found;
    }
    for (name, steps) in LIFTED {
        let quoted: &[u8] = match name {
            "message" => b"\"message\"",
            "severity" => b"\"severity\"",
            "id" => b"\"id\"",
            _ => b"\"package\"",
        };
        let is_there = found.iter().any(|(known, _)| *known == quoted)
            || members(element).any(|(key, value)| key == quoted && is_scalar(value));
        if is_there {
            continue;
        }
        let mut value = Some(element);
        for step in steps {
            value = value.and_then(|value| {
                members(value)
                    .find(|(key, _)| unquoted(key) == step.as_bytes())
                    .map(|(_, value)| value)
            });
        }
        if let Some(value) = value.filter(|value| is_scalar(value) && value.len() > 2) {
            found.push((quoted, value));
        }
    }
    found
}

/// A key without its quotes. Escapes stay: no key that is asked for has any.
pub fn unquoted(key: &[u8]) -> &[u8] {
    key.strip_prefix(b"\"")
        .and_then(|key| key.strip_suffix(b"\""))
        .unwrap_or(key)
}

/// The members of the object that `text` begins with: keys with their quotes, and values.
pub fn members(text: &[u8]) -> Members<'_> {
    let is_object = text.first() == Some(&b'{');
    Members {
        text,
        at: usize::from(is_object),
        closed: false,
        broken: !is_object,
        unfinished: None,
    }
}

pub struct Members<'v> {
    text: &'v [u8],
    at: usize,
    closed: bool,
    broken: bool,
    unfinished: Option<(&'v [u8], &'v [u8])>,
}

impl<'v> Members<'v> {
    /// The object ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The text is no JSON object.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The key whose value is not whole, and what there is of it.
    pub fn unfinished(&self) -> Option<(&'v [u8], &'v [u8])> {
        self.unfinished
    }
}

impl<'v> Iterator for Members<'v> {
    type Item = (&'v [u8], &'v [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken || self.closed {
            return None;
        }
        let text = self.text;
        let at = skip(text, self.at, b",");
        match text.get(at)? {
            b'"' => {}
            b'}' => {
                self.closed = true;
                return None;
            }
            _ => {
                self.broken = true;
                return None;
            }
        }
        let key_end = string_end(text, at)?;
        let colon = skip(text, key_end, b"");
        if *text.get(colon)? != b':' {
            self.broken = true;
            return None;
        }
        let start = skip(text, colon + 1, b"");
        let key = &text[at..key_end];
        let Some(end) = value_end(text, start) else {
            self.unfinished = Some((key, &text[start..]));
            return None;
        };
        self.at = end;
        Some((key, &text[start..end]))
    }
}

/// The elements of the array that `text` is.
fn items(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = match text.first() {
        Some(b'[') => 1,
        _ => text.len(),
    };
    std::iter::from_fn(move || {
        let start = skip(text, at, b",");
        if matches!(text.get(start), None | Some(b']')) {
            return None;
        }
        let end = value_end(text, start)?;
        at = end;
        (end > start).then(|| &text[start..end])
    })
}

fn skip(text: &[u8], at: usize, also: &[u8]) -> usize {
    at + text[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace() || also.contains(byte))
        .count()
}

/// Behind the string that begins at `at`.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Behind the value that begins at `at`; `None` if it is not whole.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'{' | b'[' => {
            let mut depth = 0u32;
            let mut at = at;
            loop {
                match text.get(at)? {
                    b'"' => {
                        at = string_end(text, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let length = text[at..]
                .iter()
                .position(|byte| b",]}".contains(byte) || byte.is_ascii_whitespace())?;
            Some(at + length)
        }
    }
}
