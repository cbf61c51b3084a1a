//! A receiver that does what a test says: it answers, stalls, resets or closes, and keeps what came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::program::let_pass;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the receiver does with a request.
pub enum Reply {
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Closes with the request's body unread, so that the kernel resets the connection.
    Reset,
    /// Takes the request and says nothing for this long.
    Stall(Duration),
    /// Takes the request and closes.
    Close,
    /// Says 200 and closes before the answer's body.
    CloseInAnswer,
}

pub fn status(status: u16) -> Reply {
    Reply::Answer(status, Vec::new(), String::new())
}

pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `reply` is asked with each request and its number from 0; requests that are reset count too,
    /// but are not kept.
    pub fn start(reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let reply = Arc::new(reply);
        let number = Arc::new(Mutex::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (reply, kept, number) =
                    (Arc::clone(&reply), Arc::clone(&kept), Arc::clone(&number));
                std::thread::spawn(move || serve(&stream, &*reply, &kept, &number));
            }
        });
        Server { port, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    stream: &TcpStream,
    reply: &(impl Fn(&Request, usize) -> Reply + ?Sized),
    kept: &Mutex<Vec<Request>>,
    number: &Mutex<usize>,
) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|count| *count > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let mut first = head[0].split(' ');
    let mut request = Request {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers: head[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    let length: usize = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    // The body is looked at before it is known whether it is to be read, so a reset leaves a byte.
    let almost = length.saturating_sub(1);
    reader.read_exact(&mut body[..almost]).ok()?;
    let place = {
        let mut number = number.lock().unwrap();
        *number += 1;
        *number - 1
    };
    request.body = body;
    if length > 0 {
        let mut whole = request.clone();
        whole.body.truncate(almost);
        let answer = reply(&whole, place);
        if let Reply::Reset = answer {
            return None;
        }
        reader.read_exact(&mut request.body[almost..]).ok()?;
        kept.lock().unwrap().push(request);
        answer_with(stream, answer)
    } else {
        let answer = reply(&request, place);
        kept.lock().unwrap().push(request);
        answer_with(stream, answer)
    }
}

fn answer_with(mut stream: &TcpStream, reply: Reply) -> Option<()> {
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut text = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            stream
                .write_all(format!("{text}\r\n{body}").as_bytes())
                .ok()?;
        }
        Reply::Stall(time) => let_pass(time),
        Reply::CloseInAnswer => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                .ok()?;
        }
        Reply::Reset | Reply::Close => {}
    }
    Some(())
}
