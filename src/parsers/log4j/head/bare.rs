//! What stands behind a time that no level follows: separators, a process, a program, cells.

use super::{Reader, is_process};

impl Reader<'_> {
    /// Behind a time that no level follows: steps over separators, a process, a program.
    pub(super) fn without_level(&mut self) {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t' | b']' | b',' | b':') => self.at += 1,
                Some(b'-') if self.byte(1) == Some(b' ') => self.at += 2,
                Some(b'|') => {
                    self.at += 1;
                    self.cells();
                    return;
                }
                Some(0x1b) => {
                    let before = self.at;
                    self.skip_colours();
                    if self.at == before {
                        return;
                    }
                }
                _ => break,
            }
        }
        if self.byte(0) == Some(b'[')
            && let Some(close) = self.closing()
            && is_process(&self.text[self.at + 1..close])
        {
            self.bracket_part(close);
            self.at = close + 1;
            if self.byte(0) == Some(b':') {
                self.at += 1;
            }
            self.skip_blanks();
        }
        // `##[group]…`
        if self.text[self.at..].starts_with(b"##[")
            && let Some(close) = self.text[self.at..]
                .iter()
                .take(20)
                .position(|&byte| byte == b']')
        {
            self.at += close + 1;
            return;
        }
        let word = |from: usize| {
            self.text[from..]
                .iter()
                .take(80)
                .take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
                .count()
        };
        let (start, first) = (self.at, word(self.at));
        // `main.go:23: …`, `sshd[12]: …`, and a host before it.
        for (from, len) in [
            (start, first),
            (
                start + first + 1,
                if start + first < self.text.len() {
                    word(start + first + 1)
                } else {
                    0
                },
            ),
        ] {
            let Some([head @ .., b':']) = self.text.get(from..from + len) else {
                continue;
            };
            if let [.., b'0'..=b'9', b']'] = head
                && let Some(open) = memchr::memrchr(b'[', head)
                && open > 0
            {
                self.parts.logger = Some(from..from + open);
                self.parts.pid = Some(from + open + 1..from + head.len() - 1);
            } else if from == start
                && head.last().is_some_and(u8::is_ascii_digit)
                && memchr::memchr(b'.', head).is_some()
                && memchr::memchr(b':', head).is_some()
            {
                self.name(from..from + head.len());
            } else {
                continue;
            }
            self.at = from + len;
            self.skip_blanks();
            return;
        }
        // `chrome.exe - …`
        if first > 0 && self.text[start + first..].starts_with(b" - ") {
            self.parts.logger = Some(start..start + first);
            self.at = start + first + 3;
        }
    }

    /// `Step_LSC|30002312|message`: cells of one word before the last one.
    fn cells(&mut self) {
        for cell in 0..4 {
            let len = self.text[self.at..]
                .iter()
                .take(80)
                .take_while(|byte| !matches!(byte, b'|' | b' ' | b'\n'))
                .count();
            if self.byte(len) != Some(b'|') || len == 0 {
                return;
            }
            let range = self.at..self.at + len;
            if self.text[range.clone()].iter().all(u8::is_ascii_digit) {
                self.parts.pid.get_or_insert(range);
            } else if cell == 0 {
                self.parts.logger = Some(range);
            }
            self.at += len + 1;
        }
    }
}
