//! What comes over the network, and the words that go out: answers of servers, requests to the
//! endpoint, templates of notifiers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use logweir::flow::alert::{Alert, Evidence, Notification, SampleLine, Status};
use logweir::flow::secret::Secret;
use logweir::flow::time::Time;
use logweir::net::redact;
use logweir::net::retry::{RETRY_AFTER_MAX, retry_after};
use logweir::notifiers::text::{Escape, Texts};
use logweir::sinks::prometheus::{Endpoint, PageRequest, Settings};

use super::{Choices, obeyed};

/// A server's answer never makes a wait that is too long or shows a secret, and no request stops the
/// endpoint.
pub fn http(data: &[u8]) {
    let mut choices = Choices(data);
    if choices.below(8) == 7 {
        return request(choices.0);
    }
    let text = String::from_utf8_lossy(choices.0);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    if let Some(wait) = retry_after(&text, now) {
        assert!(wait <= RETRY_AFTER_MAX);
    }
    let secret = "https://user:s3cr3t-pass@host/services/T0/B0/abcdefghijklmnop";
    assert!(!redact::address(secret).contains("s3cr3t"));
    let _ = redact::address(&text);
    let with = format!("{text}{secret}{text}");
    let said = redact::answer(&with, &[&Secret::new(secret)]);
    assert!(!said.contains("s3cr3t-pass") && !said.contains("abcdefghijklmnop"));
    assert!(obeyed(&said).is_none() && !said.contains('\n'));
    let _ = redact::answer(&text, &[&Secret::new(text.clone())]);
}

/// Sends a request and waits until the connection ends.
fn request(bytes: &[u8]) {
    let address = endpoint();
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    let wait = Some(Duration::from_secs(10));
    stream.set_read_timeout(wait).expect("a timeout can be set");
    // The endpoint may end the connection before it has read all.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if stream.read_to_end(&mut answer).is_ok() && !answer.is_empty() {
        assert!(
            answer.starts_with(b"HTTP/1."),
            "{:?}",
            answer.escape_ascii()
        );
    }
}

/// One endpoint for the whole process.
fn endpoint() -> SocketAddr {
    static ENDPOINT: OnceLock<Endpoint> = OnceLock::new();
    let endpoint = ENDPOINT.get_or_init(|| {
        let (pages, asked) = crossbeam_channel::bounded::<PageRequest>(1);
        std::thread::spawn(move || {
            for request in asked {
                let _ = request.reply.send("up 1\n".to_owned());
            }
        });
        let settings = Settings {
            listen: "127.0.0.1:0".to_owned(),
            token: None,
        };
        let ready = Arc::new(AtomicBool::new(true));
        Endpoint::start(&settings, pages, ready, Arc::default()).expect("a free port")
    });
    endpoint.address()
}

/// The first two parts (NUL apart) are templates, the third is what a log says: any template is
/// refused or filled within its limits, and what a log says stays text.
pub fn texts(data: &[u8]) {
    let mut choices = Choices(data);
    let escape = *choices.of(&[Escape::None, Escape::Line, Escape::Slack]);
    let parts: Vec<_> = choices
        .0
        .splitn(3, |&byte| byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    let part = |number: usize| parts.get(number).map(|part| part.as_ref());
    let notification = notification(part(2).unwrap_or("data"));
    let own = Texts::new(None, None, escape).expect("no template is wrong");
    let words = own.write(&notification);
    if escape != Escape::None {
        assert!(obeyed(&words.text).is_none() && obeyed(&words.title).is_none());
    }
    // A template is the operator's and may ask for a text that fills the memory, as `"x" * 1000000000`
    // does; no data can.
    let asks_for_much = |template: &str| {
        let long_number = |part: &str| part.len() > 3;
        let mut numbers = template.split(|character: char| !character.is_ascii_digit());
        template.contains(['*']) || numbers.any(long_number)
    };
    if [part(0), part(1)].into_iter().flatten().any(asks_for_much) {
        return;
    }
    if let Ok(texts) = Texts::new(part(0), part(1), escape) {
        let words = texts.write(&notification);
        assert!(words.title.chars().count() <= 250 && !words.title.contains('\n'));
        assert!(words.text.len() <= 1 << 20, "{} bytes", words.text.len());
    }
}

fn notification(data: &str) -> Notification {
    let sample = SampleLine {
        source: data.to_owned(),
        offset: 7,
        line: data.to_owned(),
    };
    let alert = Alert {
        id: "0123456789abcdef".to_owned(),
        rule: "rule".to_owned(),
        status: Status::Firing,
        labels: vec![("host".to_owned(), data.to_owned())],
        summary: data.to_owned(),
        value: Some(1.5),
        starts_at: Time(0),
        ends_at: None,
        evidence: Evidence {
            template: Some(data.to_owned()),
            count: 2,
            samples: vec![sample],
            ..Evidence::default()
        },
    };
    Notification {
        number: 1,
        notifier: "n".to_owned(),
        id: "i".to_owned(),
        status: Status::Firing,
        group: vec![("host".to_owned(), data.to_owned())],
        alerts: vec![alert.clone(), alert],
        left_out: 3,
        made_at: Time(0),
    }
}
