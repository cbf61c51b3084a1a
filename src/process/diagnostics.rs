//! What the program has to say about itself while it runs: few lines, and never at the cost of the
//! data. A standard error that is closed, full or stuck only loses notes.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::flow::terminal;

/// Notes that are said in one second at most. The others are counted: a fault that comes with every
/// line of the input must not write as many lines itself.
pub const NOTES_PER_SECOND_MAX: u32 = 20;

/// A pipe with room for anything takes so many bytes at once (`PIPE_BUF`), so that no more can wait.
const LINE_BYTES_MAX: usize = 4096;

const SECOND: Duration = Duration::from_secs(1);

/// When a note could not be said, the next attempt comes after this: a standard error that nobody
/// empties must not keep an idle run awake.
const STUCK: Duration = Duration::from_secs(10);

/// Says notes, a limited number a second.
pub struct Notes {
    /// False if it could not be said without waiting.
    say: Box<dyn FnMut(&str) -> bool + Send>,
    /// End of the second that is counted, on the monotonic clock.
    end: Duration,
    said: u32,
    left_out: u64,
}

impl Notes {
    pub fn new(say: impl FnMut(&str) -> bool + Send + 'static) -> Notes {
        Notes {
            say: Box::new(say),
            end: Duration::ZERO,
            said: 0,
            left_out: 0,
        }
    }

    pub fn put(&mut self, text: &str, now: Duration) {
        self.tell_left_out(now);
        if self.said < NOTES_PER_SECOND_MAX && self.left_out == 0 && (self.say)(text) {
            self.said += 1;
        } else {
            self.left_out += 1;
        }
    }

    /// When [`Notes::tell_left_out`] has something to say, if it has.
    pub fn due(&self) -> Option<Duration> {
        (self.left_out > 0).then_some(self.end)
    }

    /// Says how many notes were left out, when their second is over.
    pub fn tell_left_out(&mut self, now: Duration) {
        if now < self.end {
            return;
        }
        self.said = 0;
        self.finish();
        let is_stuck = self.left_out > 0;
        self.end = now + if is_stuck { STUCK } else { SECOND };
    }

    /// The same at the end, whatever the time is.
    pub fn finish(&mut self) {
        if self.left_out > 0 && (self.say)(&format!("{} more notes were left out", self.left_out)) {
            self.left_out = 0;
            self.said += 1;
        }
    }
}

/// Whether lines on standard error are JSON. One for the process, as standard error is.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// How [`line()`] writes from now on.
pub fn log_as_json(is_json: bool) {
    IS_JSON.store(is_json, Ordering::Relaxed);
}

/// What the user is told, as a line for standard error, harmless for a terminal.
pub fn line(text: &str) -> Vec<u8> {
    line_as(text, IS_JSON.load(Ordering::Relaxed))
}

fn line_as(text: &str, as_json: bool) -> Vec<u8> {
    let mut line = Vec::new();
    if as_json {
        let time = jiff::Timestamp::now().to_string();
        let object = json!({"time": time, "program": "weir", "message": text});
        terminal::escape_json(&object.to_string(), &mut line);
    } else {
        line.extend_from_slice(b"weir: ");
        terminal::escape(text.as_bytes(), &mut line);
    }
    line.push(b'\n');
    line
}

/// Writes a line to standard error. If that is closed or full, the data path goes on all the same.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(&line(text));
}

/// The same for what must be one line whatever names stand in it: a line feed in the name of a file
/// could begin a line that looks like one of ours.
pub fn note(text: &str) {
    say(&one_line(text));
}

fn one_line(text: &str) -> Cow<'_, str> {
    match text.contains('\n') {
        true => Cow::Owned(text.replace('\n', "\\n")),
        false => Cow::Borrowed(text),
    }
}

/// Writes a line to standard error if that takes it at once; else it is not said, and this is false.
pub fn try_say(text: &str) -> bool {
    say_to(&io::stderr(), &one_line(text))
}

fn say_to<Out: std::os::fd::AsFd>(out: &Out, text: &str) -> bool
where
    for<'a> &'a Out: Write,
{
    let mut line = line(text);
    if line.len() > LINE_BYTES_MAX {
        // Escapes are at most ten times as long as what they stand for.
        let shown: String = text.chars().take(LINE_BYTES_MAX / 12).collect();
        line = self::line(&format!("{shown}…"));
    }
    let mut polled = [PollFd::new(out, PollFlags::OUT)];
    let takes = poll(&mut polled, Some(&Timespec::default())).is_ok()
        && polled[0].revents().contains(PollFlags::OUT);
    takes && (&*out).write_all(&line).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_line_cannot_be_forged_in_json_nor_drive_a_terminal() {
        let text = "a \"b\"\nweir: forged \u{1b}[2J \u{9b}";
        let line = line_as(text, true);
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(object["message"], text);
        assert!(object["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        for line in [line, line_as(text, false)] {
            let line = String::from_utf8(line).unwrap();
            assert!(!line.contains(['\u{1b}', '\u{9b}']), "{line}");
        }
    }

    #[test]
    fn a_name_with_a_line_feed_stays_in_its_line() {
        let name = "a\nweir: forged";
        assert_eq!(one_line(name), "a\\nweir: forged");
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (mut read, write) = (File::from(read), File::from(write));
        assert!(say_to(&write, &one_line(name)));
        drop(write);
        let mut said = String::new();
        read.read_to_string(&mut said).unwrap();
        assert_eq!(said, "weir: a\\nweir: forged\n");
    }

    #[test]
    fn says_twenty_a_second_and_counts_the_others() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&said);
        let mut notes = Notes::new(move |text| {
            sink.lock().unwrap().push(text.to_owned());
            true
        });
        // A million notes within ten seconds, from some time on.
        for number in 0..1_000_000u64 {
            let now = Duration::from_secs(500) + Duration::from_micros(number * 10);
            notes.put(&number.to_string(), now);
        }
        assert!(notes.due().is_some());
        notes.finish();
        assert_eq!(notes.due(), None);
        let said = said.lock().unwrap();
        let (counts, texts): (Vec<_>, Vec<_>) =
            said.iter().partition(|text| text.ends_with("left out"));
        assert!(said.len() <= 201, "{}", said.len());
        let left_out: u64 = counts
            .iter()
            .map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(left_out + texts.len() as u64, 1_000_000);
    }

    #[test]
    fn tries_again_when_nothing_could_be_said_and_not_too_often() {
        let tries = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&tries);
        let mut notes = Notes::new(move |text| {
            let mut tries = sink.lock().unwrap();
            tries.push(text.to_owned());
            tries.len() > 3
        });
        let mut now = Duration::from_secs(7);
        notes.put("a", now);
        let mut waited = Vec::new();
        while let Some(due) = notes.due() {
            waited.push((due - now).as_secs());
            now = due;
            notes.tell_left_out(now);
            if waited.len() == 1 {
                notes.put("b", now);
            }
        }
        assert_eq!(waited, [1, 10, 10]);
        let one = "1 more notes were left out";
        let want = [
            "a",
            one,
            "2 more notes were left out",
            "2 more notes were left out",
        ];
        assert_eq!(*tries.lock().unwrap(), want);
    }

    #[test]
    fn a_full_or_closed_standard_error_loses_notes_and_nothing_else() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (mut read, write) = (File::from(read), File::from(write));
        let long = "x".repeat(10_000);
        let mut said = 0;
        // It would wait for ever at the pipe's end.
        while say_to(&write, &long) {
            said += 1;
        }
        assert!(said > 1);
        let mut bytes = vec![0; LINE_BYTES_MAX];
        let mut written = Vec::new();
        while written.iter().filter(|&&byte| byte == b'\n').count() < said {
            let count = read.read(&mut bytes).unwrap();
            written.extend_from_slice(&bytes[..count]);
        }
        for line in String::from_utf8(written).unwrap().lines() {
            assert!(
                line.starts_with("weir: xxx") && line.ends_with("x…"),
                "{line}"
            );
            assert!(line.len() < LINE_BYTES_MAX);
        }
        assert!(say_to(&write, "a\x1b[31m"));
        let count = read.read(&mut bytes).unwrap();
        assert!(bytes[..count].starts_with(b"weir: a") && !bytes[..count].contains(&0x1b));
        drop(read);
        assert!(!say_to(&write, "gone"));
        let full = OwnedFd::from(File::options().write(true).open("/dev/full").unwrap());
        assert!(!say_to(&File::from(full), "full"));
    }
}
