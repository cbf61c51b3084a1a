//! Certificates: one that is trusted is needed, for HTTPS as for mail, and without one nothing is said.
//! The certificates are made by the openssl command, and trusted through `SSL_CERT_FILE` in a process
//! of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logweir::flow::alert::Status;
use logweir::notifiers::delivery::{Delivery, Outcome, Receipt};
use logweir::notifiers::email::{self, Tls};
use logweir::notifiers::{Channel, Settings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{notification, quiet, receipts, settings, webhook};

/// Set in the process that trusts the authority of the test; the folder with its certificates.
const FOLDER: &str = "WEIR_TEST_TLS";

/// How `openssl ca` makes a certificate for localhost.
const CA: &str = "[ca]\ndefault_ca = c\n\
    [c]\ndatabase = index.txt\nnew_certs_dir = .\nserial = serial\ndefault_md = sha256\npolicy = p\nx509_extensions = e\n\
    [p]\ncommonName = supplied\n\
    [e]\nsubjectAltName = DNS:localhost\n";

/// Makes an authority and certificates for localhost: one that is good, one that has expired, one that
/// nobody vouches for.
fn certificates(folder: &Path) -> Option<()> {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(arguments.split(' '));
        let output = command.output().ok()?;
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(())
    };
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority"
    ))?;
    for name in ["good", "expired"] {
        openssl(&format!(
            "req -new {key} -keyout {name}.key -out {name}.csr -subj /CN=localhost"
        ))?;
    }
    openssl(
        "x509 -req -in good.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out good.pem -extfile names -days 2",
    )?;
    // The one way to dates of the past that every version knows. A negative number of days makes a
    // certificate that ends before it begins, which is another mistake.
    std::fs::write(folder.join("ca.cnf"), CA).unwrap();
    std::fs::write(folder.join("index.txt"), "").unwrap();
    std::fs::write(folder.join("serial"), "77\n").unwrap();
    openssl(
        "ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in expired.csr -out expired.pem -startdate 20240101000000Z -enddate 20240201000000Z",
    )?;
    openssl(&format!(
        "req -x509 {key} -keyout self.key -out self.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    ))
}

/// How a server begins to speak TLS.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    AtOnce,
    /// After `STARTTLS`, in a mail server's greeting.
    Asked,
}

/// A server with a certificate. It speaks as mail server if `is_mail`, else HTTP, and keeps what it
/// heard: in the clear and in secret.
struct Secure {
    port: u16,
    clear: Arc<Mutex<String>>,
    secret: Arc<Mutex<String>>,
}

impl Secure {
    fn start(folder: &Path, name: &str, start: Start, is_mail: bool) -> Secure {
        let certificate =
            CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let clear = Arc::new(Mutex::new(String::new()));
        let secret = Arc::new(Mutex::new(String::new()));
        let (in_clear, in_secret) = (Arc::clone(&clear), Arc::clone(&secret));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if start == Start::Asked {
                    let _ = stream.write_all(b"220 test\r\n");
                    if mail(&mut stream, "250-STARTTLS\r\n", &in_clear).is_none() {
                        continue;
                    }
                }
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                if !is_mail {
                    let _ = http(&mut stream, &in_secret);
                    continue;
                }
                if start == Start::AtOnce {
                    let _ = stream.write_all(b"220 test\r\n");
                }
                let _ = mail(&mut stream, "", &in_secret);
            }
        });
        Secure {
            port,
            clear,
            secret,
        }
    }
}

/// Talks as a mail server; `Some` when TLS is to begin.
fn mail(stream: &mut (impl Read + Write), extensions: &str, heard: &Mutex<String>) -> Option<()> {
    let mut is_data = false;
    loop {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        heard.lock().unwrap().push_str(&line);
        let word = line.split([' ', ':', '\r']).next().unwrap();
        let reply = match word {
            _ if is_data && line != ".\r\n" => continue,
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").ok()?;
                return Some(());
            }
            "DATA" => "354 go on\r\n".to_owned(),
            "EHLO" => format!("250-test\r\n{extensions}250 HELP\r\n"),
            "QUIT" => return None,
            _ => "250 ok\r\n".to_owned(),
        };
        is_data = word == "DATA";
        stream.write_all(reply.as_bytes()).ok()?;
    }
}

fn http(
    stream: &mut StreamOwned<ServerConnection, TcpStream>,
    heard: &Mutex<String>,
) -> Option<()> {
    let mut reader = BufReader::new(&mut *stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|count| *count > 0)?;
        heard.lock().unwrap().push_str(&line);
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn send(mut settings: Settings) -> Receipt {
    settings.timeout = Duration::from_secs(3);
    settings.give_up = Duration::from_millis(1);
    let delivery = Delivery::start(vec![settings], None, quiet).unwrap();
    delivery.send(notification(1, "n", Status::Firing, &["a"]));
    receipts(&delivery, 1).remove(0)
}

fn mail_to(host: &str, port: u16, tls: Tls) -> Settings {
    let channel = Channel::Email(email::Email {
        host: host.to_owned(),
        port,
        tls,
        from: "weir@example.com".to_owned(),
        recipients: vec!["a@example.com".to_owned()],
        user: None,
        password: None,
    });
    settings("n", channel)
}

#[test]
fn only_a_certificate_that_is_trusted_opens_the_mouth() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return within(Path::new(&folder));
    }
    let home = tempfile::tempdir().unwrap();
    if certificates(home.path()).is_none() {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture"])
        .env(FOLDER, home.path())
        .env("SSL_CERT_FILE", home.path().join("ca.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// A server that takes the connection and never speaks, or speaks without TLS: the attempt ends in its
/// time, and nothing of the message goes out in the clear.
#[test]
fn a_handshake_that_stalls_ends_and_nothing_is_said_in_the_clear() {
    for greeting in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "220 test\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let hears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(greeting.as_bytes());
                let hears = Arc::clone(&hears);
                std::thread::spawn(move || {
                    let mut piece = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut piece) {
                        hears.lock().unwrap().extend_from_slice(&piece[..count]);
                    }
                });
            }
        });
        for settings in [
            settings("n", webhook(format!("https://localhost:{port}/canary"))),
            mail_to("localhost", port, Tls::Tls),
        ] {
            let start = Instant::now();
            let receipt = send(settings);
            assert_eq!(receipt.outcome, Outcome::Dead, "{greeting:?}: {receipt:?}");
            assert!(start.elapsed() < Duration::from_secs(20), "{greeting:?}");
            assert!(
                receipt.answer.contains("localhost") && !receipt.answer.contains("canary"),
                "{receipt:?}"
            );
        }
        let heard = heard.lock().unwrap();
        assert!(!heard.is_empty(), "TLS was begun");
        for word in ["POST", "canary", "EHLO", "MAIL"] {
            let is_said = heard
                .windows(word.len())
                .any(|part| part == word.as_bytes());
            assert!(!is_said, "{greeting:?}: {word}");
        }
    }
}

/// In the process that trusts the authority.
fn within(folder: &Path) {
    let ways = [
        (Start::AtOnce, false, Tls::None),
        (Start::AtOnce, true, Tls::Tls),
        (Start::Asked, true, Tls::StartTls),
    ];
    for (certificate, host, reason) in [
        ("good", "localhost", None),
        (
            "good",
            "127.0.0.1",
            Some("certificate is not valid for name 127.0.0.1, but for "),
        ),
        (
            "expired",
            "localhost",
            Some("certificate has expired at 2024-02-01T00:00:00Z"),
        ),
        ("self", "localhost", Some("certificate")),
    ] {
        for (start, is_mail, tls) in ways {
            let server = Secure::start(folder, certificate, start, is_mail);
            let settings = if is_mail {
                mail_to(host, server.port, tls)
            } else {
                settings(
                    "n",
                    webhook(format!("https://{host}:{}/canary", server.port)),
                )
            };
            let receipt = send(settings);
            let clear = server.clear.lock().unwrap().clone();
            let secret = server.secret.lock().unwrap().clone();
            let case = format!("{certificate} {host} {is_mail}: {receipt:?}");
            assert!(
                !clear.contains("MAIL") && !clear.contains("POST"),
                "{case}: {clear}"
            );
            match reason {
                None => {
                    assert_eq!(receipt.outcome, Outcome::Delivered, "{case}");
                    assert!(
                        secret.contains(if is_mail { "MAIL FROM" } else { "POST /canary" }),
                        "{secret}"
                    );
                }
                Some(reason) => {
                    assert_eq!(receipt.outcome, Outcome::Dead, "{case}");
                    assert!(
                        receipt.answer.contains(reason) && !receipt.answer.contains("canary"),
                        "{case}"
                    );
                    assert_eq!(secret, "", "{case}");
                }
            }
        }
    }
}
