//! A mail server that takes what it is told to take, and keeps the mails.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One mail as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub recipients: Vec<String>,
    /// Unfolded header lines.
    pub headers: Vec<String>,
    /// Decoded.
    pub body: String,
}

impl Mail {
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lead = format!("{}:", name.to_lowercase());
        let found = self
            .headers
            .iter()
            .filter(|line| line.to_lowercase().starts_with(&lead));
        found.map(|line| line[lead.len()..].trim()).collect()
    }
}

pub struct Smtp {
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    heard: Arc<Mutex<String>>,
}

impl Smtp {
    /// `answer` may give another reply than the usual one to a command line.
    pub fn start(
        extensions: &'static str,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Smtp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::new(Mutex::new(String::new()));
        let (kept, said) = (Arc::clone(&mails), Arc::clone(&heard));
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, said, answer) =
                    (Arc::clone(&kept), Arc::clone(&said), Arc::clone(&answer));
                std::thread::spawn(move || talk(&stream, extensions, &kept, &said, &*answer));
            }
        });
        Smtp { port, mails, heard }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// Every command line of every connection.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

fn talk(
    mut stream: &TcpStream,
    extensions: &str,
    kept: &Mutex<Vec<Mail>>,
    heard: &Mutex<String>,
    answer: &(impl Fn(&str) -> Option<String> + ?Sized),
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut from = String::new();
    let mut recipients = Vec::new();
    stream.write_all(b"220 test\r\n").ok()?;
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|count| *count > 0)?;
        heard.lock().unwrap().push_str(&line);
        let line = line.trim_end();
        let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let reply = answer(line);
        let accepted = reply.is_none();
        let usual = match line.split([' ', ':']).next()?.to_uppercase().as_str() {
            "EHLO" => format!("250-test\r\n{extensions}250 HELP"),
            "MAIL" => {
                from = address();
                "250 ok".to_owned()
            }
            "RCPT" => {
                if accepted {
                    recipients.push(address());
                }
                "250 ok".to_owned()
            }
            "AUTH" => "235 ok".to_owned(),
            "DATA" if accepted => {
                stream.write_all(b"354 go on\r\n").ok()?;
                let mail = read_mail(&mut reader, &from, &recipients)?;
                kept.lock().unwrap().push(mail);
                recipients.clear();
                "250 queued as 7".to_owned()
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").ok()?;
                return Some(());
            }
            _ => "250 ok".to_owned(),
        };
        stream
            .write_all(format!("{}\r\n", reply.unwrap_or(usual)).as_bytes())
            .ok()?;
    }
}

fn read_mail(reader: &mut impl BufRead, from: &str, recipients: &[String]) -> Option<Mail> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|count| *count > 0)?;
        let line = line
            .strip_suffix("\r\n")
            .expect("mail lines end with CR LF");
        assert!(!line.contains(['\r', '\n']), "a bare line break");
        if line == "." {
            break;
        }
        lines.push(line.strip_prefix('.').unwrap_or(line).to_owned());
    }
    let end = lines.iter().position(String::is_empty).unwrap();
    let mut headers: Vec<String> = Vec::new();
    for line in &lines[..end] {
        match headers.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => headers.push(line.clone()),
        }
    }
    let mut mail = Mail {
        from: from.to_owned(),
        recipients: recipients.to_vec(),
        headers,
        body: String::new(),
    };
    let body = lines[end + 1..].join("\n");
    mail.body = match mail.header("content-transfer-encoding").first() {
        Some(&"quoted-printable") => quoted_printable(&body),
        Some(&"base64") => {
            use base64::Engine;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(body.replace('\n', ""))
                .unwrap();
            String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
        }
        _ => body,
    };
    Some(mail)
}

/// RFC 2045, section 6.7.
fn quoted_printable(text: &str) -> String {
    let mut bytes = Vec::new();
    let text = text.replace("=\n", "");
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'=' {
            let digits = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}
