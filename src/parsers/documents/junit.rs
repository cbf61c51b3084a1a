//! JUnit XML, as test runners and pytest write it: a line for each test case.

use std::borrow::Cow;

use crate::flow::document::{DOCUMENT_BYTES_MAX, Document};

/// Reads test cases as they come. Everything but suites, cases and their outcomes is passed over.
#[derive(Default)]
pub struct Junit {
    held: Vec<u8>,
    /// Names and times of the suites that are open.
    suites: Vec<(String, String)>,
    case: Option<Case>,
    /// What is wrong with the case at hand is being read.
    in_outcome: bool,
    /// The root has ended, or there was no XML: what follows are lines.
    is_over: bool,
    /// Something stands behind the root.
    has_lines: bool,
    depth: u32,
}

struct Case {
    name: String,
    class: String,
    seconds: String,
    status: &'static str,
    reason: String,
    details: String,
}

/// Text of a failure that is kept: its first lines say what is wrong.
const DETAILS_BYTES_MAX: usize = 64 << 10;

/// Whether the XML that `text` begins with is a JUnit report; `None` if that does not show yet.
pub fn is_junit(text: &[u8]) -> Option<bool> {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let end = if rest.starts_with(b"<?") {
            memchr::memmem::find(rest, b"?>")? + 2
        } else if rest.starts_with(b"<!--") {
            memchr::memmem::find(rest, b"-->")? + 3
        } else {
            break;
        };
        rest = &rest[end..];
    }
    let name = b"<testsuite";
    if rest.len() <= name.len() {
        return if name.starts_with(rest) || rest.is_empty() || rest == name {
            None
        } else {
            Some(false)
        };
    }
    Some(
        rest.starts_with(name)
            && matches!(
                rest[name.len()],
                b's' | b' ' | b'>' | b'\n' | b'\r' | b'\t' | b'/'
            ),
    )
}

impl Document for Junit {
    fn feed(&mut self, bytes: &[u8], lines: &mut Vec<u8>) -> Result<(), String> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut at = 0;
        while let Some(length) = self.step(&held[at..], lines) {
            at += length;
        }
        self.held = held;
        self.held.drain(..at);
        if self.held.len() > DOCUMENT_BYTES_MAX {
            return Err(format!(
                "the XML holds a text of more than {} MiB",
                DOCUMENT_BYTES_MAX >> 20
            ));
        }
        Ok(())
    }

    fn end(&mut self, lines: &mut Vec<u8>) -> Result<(), String> {
        if self.is_over || self.held.trim_ascii().is_empty() && self.depth == 0 {
            lines.append(&mut self.held);
            return Ok(());
        }
        self.finish(lines);
        Err("the XML ends too early; its last test case may not be whole".to_owned())
    }
}

impl Junit {
    /// Takes the tag or the text that `rest` begins with; its bytes, or `None` if it is not whole.
    fn step(&mut self, rest: &[u8], lines: &mut Vec<u8>) -> Option<usize> {
        if self.is_over {
            // Blanks behind the root are no lines.
            let blanks = match self.has_lines {
                true => 0,
                false => rest.len() - rest.trim_ascii_start().len(),
            };
            self.has_lines |= blanks < rest.len();
            lines.extend_from_slice(&rest[blanks..]);
            return (!rest.is_empty()).then_some(rest.len());
        }
        if *rest.first()? != b'<' {
            let end = memchr::memchr(b'<', rest)?;
            self.text(&unescaped(&rest[..end]));
            return Some(end);
        }
        for (opening, closing) in [
            (&b"<!--"[..], &b"-->"[..]),
            (b"<![CDATA[", b"]]>"),
            (b"<?", b"?>"),
        ] {
            if rest.starts_with(opening) {
                let end = memchr::memmem::find(&rest[opening.len()..], closing)? + opening.len();
                if opening == b"<![CDATA[" {
                    self.text(&String::from_utf8_lossy(&rest[opening.len()..end]));
                }
                return Some(end + closing.len());
            }
            // It may be one of them once more bytes are there.
            if opening.starts_with(rest) {
                return None;
            }
        }
        let end = tag_end(rest)?;
        self.tag(&rest[1..end], lines);
        Some(end + 1)
    }

    fn text(&mut self, text: &str) {
        if let Some(case) = &mut self.case
            && self.in_outcome
            && case.details.len() < DETAILS_BYTES_MAX
        {
            case.details.push_str(text);
        }
    }

    fn tag(&mut self, tag: &[u8], lines: &mut Vec<u8>) {
        if let Some(name) = tag.strip_prefix(b"/") {
            self.close(name.trim_ascii(), lines);
            return;
        }
        let is_empty = tag.ends_with(b"/");
        let tag = tag.strip_suffix(b"/").unwrap_or(tag);
        let name_end = tag
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(tag.len());
        let (name, rest) = tag.split_at(name_end);
        let attribute = |wanted: &str| attribute(rest, wanted.as_bytes()).unwrap_or_default();
        match name {
            b"testsuite" => self
                .suites
                .push((attribute("name"), attribute("timestamp"))),
            b"testcase" => {
                self.finish(lines);
                self.case = Some(Case {
                    name: attribute("name"),
                    class: attribute("classname"),
                    seconds: attribute("time"),
                    status: "passed",
                    reason: String::new(),
                    details: String::new(),
                });
            }
            b"failure" | b"error" | b"skipped" => {
                if let Some(case) = &mut self.case {
                    case.status = match name {
                        b"failure" => "failed",
                        b"error" => "error",
                        _ if case.status == "passed" => "skipped",
                        _ => case.status,
                    };
                    if case.reason.is_empty() {
                        case.reason = attribute("message");
                    }
                    self.in_outcome = !is_empty;
                }
            }
            _ => {}
        }
        self.depth = self.depth.saturating_add(1);
        if is_empty {
            self.close(name, lines);
        }
    }

    fn close(&mut self, name: &[u8], lines: &mut Vec<u8>) {
        match name {
            b"testsuite" => {
                self.suites.pop();
            }
            b"testcase" => self.finish(lines),
            b"failure" | b"error" | b"skipped" => self.in_outcome = false,
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
        self.is_over = self.depth == 0;
    }

    /// Writes the case at hand, if there is one.
    fn finish(&mut self, lines: &mut Vec<u8>) {
        self.in_outcome = false;
        let Some(case) = self.case.take() else {
            return;
        };
        let (suite, time) = self.suites.last().cloned().unwrap_or_default();
        let details = case.details.trim();
        let reason = match case.reason.trim() {
            "" => details.lines().next().unwrap_or_default().trim(),
            reason => reason,
        };
        let message = match reason {
            "" => format!("{} {}", case.name, case.status),
            reason => format!("{} {}: {reason}", case.name, case.status),
        };
        let mut object = serde_json::Map::new();
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                object.insert(name.to_owned(), value.into());
            }
        };
        if matches!(case.status, "failed" | "error") {
            add("level", "error");
        }
        add("message", &message);
        add("suite", &suite);
        add("name", &case.name);
        add("classname", &case.class);
        add("status", case.status);
        if case.seconds.parse::<f64>().is_ok_and(f64::is_finite) {
            add("duration", &format!("{}s", case.seconds));
        }
        add("timestamp", &time);
        add("details", details);
        lines.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
        lines.push(b'\n');
    }
}

/// The `>` that ends the tag: none within quotes does.
fn tag_end(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    text.iter().position(|&byte| match quote {
        Some(open) => {
            if byte == open {
                quote = None;
            }
            false
        }
        None => {
            if matches!(byte, b'"' | b'\'') {
                quote = Some(byte);
            }
            byte == b'>'
        }
    })
}

/// The value of the attribute `wanted`.
fn attribute(mut text: &[u8], wanted: &[u8]) -> Option<String> {
    loop {
        text = text.trim_ascii_start();
        let equals = memchr::memchr(b'=', text)?;
        let name = text[..equals].trim_ascii();
        text = text[equals + 1..].trim_ascii_start();
        let quote = *text.first()?;
        if !matches!(quote, b'"' | b'\'') {
            return None;
        }
        let end = memchr::memchr(quote, &text[1..])? + 1;
        if name == wanted {
            return Some(unescaped(&text[1..end]).into_owned());
        }
        text = &text[end + 1..];
    }
}

/// Text without its entities.
fn unescaped(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if !text.contains('&') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        match end.and_then(|end| Some((character(&rest[1..end])?, end))) {
            Some((character, end)) => {
                plain.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let digits = name.strip_prefix('#')?;
            let number = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(number)?
        }
    })
}
