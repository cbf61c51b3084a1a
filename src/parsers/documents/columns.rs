//! Columns under a header, as `df`, `ps`, `vmstat`, `top`, `free`, `iostat`, `sar`, `docker` and `kubectl`
//! print them: a line of JSON for each row. A header may come again, and what is no row stays a line.

use crate::flow::document::Document;
use crate::parsers::start::starts_with_time;

/// Reads rows as they come.
pub struct Columns {
    /// The first line that may be a header is one, whatever its names are.
    is_asked: bool,
    header: Option<Header>,
    held: Vec<u8>,
}

struct Header {
    text: Vec<u8>,
    names: Vec<Name>,
    /// Columns stand below their names, with two blanks between them, so a cell may hold blanks or nothing.
    is_aligned: bool,
    /// Rows begin with a name that has no header, as those of `free`.
    is_labelled: bool,
}

struct Name {
    name: String,
    /// The header has a percent sign: numbers get one.
    is_share: bool,
    /// Where the column begins.
    at: usize,
}

/// First names of tables whose columns stand below their names, two blanks apart.
const ALIGNED: [&[u8]; 7] = [
    b"CONTAINER ID",
    b"REPOSITORY",
    b"IMAGE",
    b"NAME",
    b"NETWORK ID",
    b"VOLUME",
    b"DRIVER",
];

/// Most columns of a row; what is beyond is text.
const COLUMNS_MAX: usize = 256;

/// Lines before the header that are looked at.
const LINES_MAX: usize = 12;

/// Whether an input that begins with `text` has columns under a header that is known; `None` if that does
/// not show yet.
pub fn is_known(text: &[u8]) -> Option<bool> {
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').take(LINES_MAX);
    loop {
        let Some(line) = lines.next() else {
            // All that was there may stand above a header.
            return if text.iter().filter(|&&byte| byte == b'\n').count() < LINES_MAX {
                None
            } else {
                Some(false)
            };
        };
        if !line.ends_with(b"\n") {
            let may_come = is_above(line) || line.len() < 200 && !line.starts_with(b"{");
            return if may_come { None } else { Some(false) };
        }
        if is_known_header(line) {
            return Some(true);
        }
        if !is_above(line) {
            return Some(false);
        }
    }
}

/// Lines that programs print above their header.
fn is_above(line: &[u8]) -> bool {
    const ABOVE: [&[u8]; 12] = [
        b"procs -",
        b"Linux ",
        b"top - ",
        b"Tasks:",
        b"Threads:",
        b"%Cpu",
        b"MiB Mem",
        b"KiB Mem",
        b"MiB Swap",
        b"KiB Swap",
        b"GiB Mem",
        b"avg-cpu:",
    ];
    line.trim_ascii().is_empty() || ABOVE.iter().any(|above| line.starts_with(above))
}

/// Whether the line is a header that one of the usual programs prints.
fn is_known_header(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = words(line).map(|(_, word)| word).collect();
    let has = |word: &str| words.contains(&word.as_bytes());
    match words[..] {
        [b"Filesystem", ..] => has("Mounted"),
        [b"r", b"b", ..] => has("swpd") || has("free"),
        [b"total", b"used", ..] => has("free"),
        [b"Device" | b"Device:", ..] => has("tps") || has("r/s"),
        [b"CONTAINER", b"ID", ..] => has("NAME") || has("NAMES") || has("IMAGE"),
        [b"REPOSITORY", b"TAG", ..] => true,
        [b"NAME" | b"NAMESPACE", _, _, ..] => words.iter().all(|word| {
            word.iter()
                .all(|byte| byte.is_ascii_uppercase() || b"-()%/".contains(byte))
        }),
        _ if has("PID") => {
            has("CMD") || has("COMMAND") || has("%CPU") || has("Command") || has("TTY")
        }
        [_, ..] if starts_with_time(line).is_some() => {
            has("%user") || has("%usr") || has("%idle") || has("rxpck/s") || has("kbmemfree")
        }
        _ => false,
    }
}

/// Each word of a line, and where it begins.
fn words(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at
            + line[at..]
                .iter()
                .position(|byte| !byte.is_ascii_whitespace())?;
        let length = line[start..]
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(line.len() - start);
        at = start + length;
        Some((start, &line[start..at]))
    })
}

/// The parts of a line that have two blanks or more between them, and where they begin.
fn parts(line: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts: Vec<(usize, &[u8])> = Vec::new();
    for (at, word) in words(line) {
        match parts.last_mut() {
            Some((start, part)) if at - (*start + part.len()) < 2 && line[at - 1] != b'\t' => {
                *part = &line[*start..at + word.len()];
            }
            _ => parts.push((at, word)),
        }
    }
    parts
}

impl Header {
    fn new(line: &[u8]) -> Option<Header> {
        let parts = parts(line);
        let is_aligned = parts.len() >= 2
            && ALIGNED
                .iter()
                .any(|first| parts[0].0 == 0 && parts[0].1.starts_with(first));
        let mut columns: Vec<(usize, Vec<u8>)> = match is_aligned {
            true => parts
                .iter()
                .map(|(at, part)| (*at, part.to_vec()))
                .collect(),
            false => words(line).map(|(at, word)| (at, word.to_vec())).collect(),
        };
        // The only name of two words where words are columns.
        if let [.., (_, first), (_, second)] = &mut columns[..]
            && first == b"Mounted"
            && second == b"on"
        {
            first.extend_from_slice(b" on");
            columns.pop();
        }
        // `sar` puts the time of its header above the times.
        if let Some(length) = starts_with_time(line) {
            let is_half = columns
                .get(1)
                .is_some_and(|(_, word)| word == b"AM" || word == b"PM");
            let of_time = columns.iter().take_while(|(at, _)| *at < length).count();
            columns.drain(..of_time.max(1) + usize::from(is_half && of_time == 1));
            columns.insert(0, (0, b"time".to_vec()));
        }
        let first = columns.first()?;
        let is_labelled = first.0 >= 4 && first.1 == b"total";
        if is_labelled {
            columns.insert(0, (0, b"name".to_vec()));
        }
        if columns.len() < 2 || columns.len() > COLUMNS_MAX {
            return None;
        }
        let mut names: Vec<Name> = Vec::new();
        for (at, name) in columns {
            let is_share = name.contains(&b'%');
            let mut plain = plain_name(&name);
            while names.iter().any(|other| other.name == plain) {
                plain.push('_');
            }
            names.push(Name {
                name: plain,
                is_share,
                at,
            });
        }
        Some(Header {
            text: line.to_vec(),
            names,
            is_aligned,
            is_labelled,
        })
    }

    /// The cells of a row; `None` if the line is none.
    fn cells<'l>(&self, line: &'l [u8]) -> Option<Vec<&'l [u8]>> {
        let count = self.names.len();
        if self.is_aligned {
            let starts: Vec<usize> = self.names.iter().map(|name| name.at).collect();
            let fits = starts
                .iter()
                .skip(1)
                .all(|&at| at >= line.len() || matches!(line[at - 1], b' ' | b'\t'));
            if fits && !line.starts_with(b" ") {
                let end = |place: usize| {
                    starts
                        .get(place + 1)
                        .map_or(line.len(), |&at| at.min(line.len()))
                };
                let cell =
                    |place: usize| line[starts[place].min(line.len())..end(place)].trim_ascii();
                return Some((0..count).map(cell).collect());
            }
            let parts = parts(line);
            return (parts.len() == count)
                .then(|| parts.into_iter().map(|(_, part)| part).collect());
        }
        let mut cells: Vec<&[u8]> = Vec::new();
        let mut words = words(line);
        if self.names[0].name == "time" {
            let length = starts_with_time(line)?;
            let rest = line[length..].trim_ascii_start();
            let half = rest.starts_with(b"AM ") || rest.starts_with(b"PM ");
            let end = length + if half { 3 } else { 0 };
            cells.push(line[..end.min(line.len())].trim_ascii());
            while words.next().is_some_and(|(at, word)| at + word.len() < end) {}
        }
        while cells.len() < count {
            let Some((at, word)) = words.next() else {
                break;
            };
            // The last column takes what is left.
            cells.push(match cells.len() + 1 == count {
                true => line[at..].trim_ascii(),
                false => word,
            });
        }
        let is_whole = cells.len() == count || self.is_labelled && cells.len() >= 2;
        is_whole.then_some(cells)
    }
}

/// `%CPU` is `cpu`, `Mounted on` is `mounted_on`, `r/s` is `r_s`.
fn plain_name(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name).to_lowercase();
    let words = text
        .split(|sign: char| !sign.is_alphanumeric())
        .filter(|word| !word.is_empty());
    match words.collect::<Vec<_>>().join("_") {
        empty if empty.is_empty() => "column".to_owned(),
        name => name,
    }
}

impl Columns {
    pub fn new(is_asked: bool) -> Columns {
        Columns {
            is_asked,
            header: None,
            held: Vec::new(),
        }
    }

    fn line(&mut self, line: &[u8], lines: &mut Vec<u8>) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let repeats = self
            .header
            .as_ref()
            .is_some_and(|header| words(&header.text).eq(words(text)));
        if repeats {
            return;
        }
        let is_first =
            self.is_asked && self.header.is_none() && !is_above(text) && text.contains(&b' ');
        if (is_first || is_known_header(text))
            && let Some(header) = Header::new(text)
        {
            self.header = Some(header);
            return;
        }
        let row = (!is_above(text)).then(|| {
            let header = self.header.as_ref()?;
            Some((header, header.cells(text)?))
        });
        let Some((header, cells)) = row.flatten() else {
            if text.trim_ascii().is_empty() {
                return;
            }
            lines.extend_from_slice(line);
            return;
        };
        let mut object = serde_json::Map::new();
        for (name, cell) in header.names.iter().zip(cells) {
            let cell = String::from_utf8_lossy(cell);
            let cell = match header.is_labelled && name.name == "name" {
                true => cell.trim_end_matches(':'),
                false => &*cell,
            };
            if cell.is_empty() {
                continue;
            }
            let value = match serde_json::from_str::<serde_json::Number>(cell) {
                Ok(_) if name.is_share => format!("{cell}%").into(),
                Ok(number) => serde_json::Value::Number(number),
                Err(_) => cell.into(),
            };
            object.insert(name.name.clone(), value);
        }
        let message: Vec<String> = words(text)
            .map(|(_, word)| String::from_utf8_lossy(word).into_owned())
            .collect();
        object
            .entry("message")
            .or_insert_with(|| message.join(" ").into());
        lines.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
        lines.push(b'\n');
    }
}

impl Document for Columns {
    fn feed(&mut self, bytes: &[u8], lines: &mut Vec<u8>) -> Result<(), String> {
        let mut rest = bytes;
        while let Some(feed) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(feed + 1);
            rest = after;
            if self.held.is_empty() {
                self.line(line, lines);
            } else {
                self.held.extend_from_slice(line);
                let whole = std::mem::take(&mut self.held);
                self.line(&whole, lines);
            }
        }
        self.held.extend_from_slice(rest);
        // A line that long is no row: it goes on as it is.
        if self.held.len() > ROW_BYTES_MAX {
            lines.append(&mut self.held);
        }
        Ok(())
    }

    fn end(&mut self, lines: &mut Vec<u8>) -> Result<(), String> {
        let last = std::mem::take(&mut self.held);
        if !last.is_empty() {
            self.line(&last, lines);
        }
        Ok(())
    }
}

/// Longest row. Printed tables are far narrower.
const ROW_BYTES_MAX: usize = 1 << 20;
