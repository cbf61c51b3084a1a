//! E-mail by SMTP: plain text, all recipients in one mail. Nothing that comes from a log can add a
//! header or a recipient.

use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::flow::secret::Secret;
use crate::net::http::Attempt;
use crate::net::{redact, tls};
use crate::notifiers::Part;
use crate::notifiers::text::Words;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// `name@example.com` or `Name <name@example.com>`.
    pub from: String,
    /// At least one.
    pub recipients: Vec<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    None,
    /// The connection becomes a secret one before anything is said; without it nothing is sent.
    StartTls,
    /// Secret from its first byte.
    Tls,
}

impl Tls {
    /// The port that mail servers listen on for it.
    pub fn port(self) -> u16 {
        match self {
            Tls::None => 25,
            Tls::StartTls => 587,
            Tls::Tls => 465,
        }
    }
}

/// Host and port of `smtp://host:port`, `smtps://host` or `host:port`.
pub fn server(address: &str, tls: Tls) -> Result<(String, u16), String> {
    let wrong = || {
        format!(
            "\"{}\" is no mail server; write smtp://host:port",
            redact::address(address)
        )
    };
    let whole = if address.contains("://") {
        address.to_owned()
    } else {
        format!("smtp://{address}")
    };
    let url = reqwest::Url::parse(&whole).map_err(|_| wrong())?;
    let is_bare =
        matches!(url.path(), "" | "/") && url.username().is_empty() && url.query().is_none();
    match url.host_str() {
        Some(host) if is_bare && ["smtp", "smtps"].contains(&url.scheme()) && !host.is_empty() => {
            let host = host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            Ok((host, url.port().unwrap_or(tls.port())))
        }
        _ => Err(wrong()),
    }
}

/// Checks sender and recipients.
pub fn check(settings: &Settings) -> Result<(), String> {
    mailbox(&settings.from)?;
    if settings.recipients.is_empty() {
        return Err("there are no recipients".to_owned());
    }
    settings
        .recipients
        .iter()
        .try_for_each(|recipient| mailbox(recipient).map(drop))
}

fn mailbox(address: &str) -> Result<Mailbox, String> {
    address
        .parse()
        .map_err(|_| format!("{address:?} is no e-mail address"))
}

/// Sends one mail. Its Message-ID is the same however often it is sent.
pub(super) async fn send(
    settings: &Settings,
    part: &Part,
    words: &Words,
    timeout: Duration,
) -> Attempt {
    let refused = |reason: String| Attempt::Refused { reason };
    let (envelope, mail) = match write(settings, part, words) {
        Ok(mail) => mail,
        Err(reason) => return refused(reason),
    };
    let transport = match transport(settings, timeout) {
        Ok(transport) => transport,
        Err(error) => return refused(format!("{}: {error}", settings.host)),
    };
    match transport.send_raw(&envelope, &mail).await {
        Ok(response) => {
            let said: Vec<&str> = response.message().collect();
            Attempt::Delivered {
                answer: shown(settings, &format!("{} {}", response.code(), said.join(" "))),
            }
        }
        Err(error) => {
            let reason = tls::reason(&error).unwrap_or_else(|| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                error.to_string() + &cause.unwrap_or_default()
            });
            let reason = format!(
                "{}:{}: {}",
                settings.host,
                settings.port,
                shown(settings, &reason)
            );
            // 53x is about the login, and nobody's address.
            let is_about_login = error
                .status()
                .is_some_and(|code| code.to_string().starts_with("53"));
            if !error.is_permanent() {
                Attempt::Later {
                    reason,
                    after: None,
                }
            } else if is_about_login || part.recipient.is_some() {
                refused(reason)
            } else {
                Attempt::Divide { reason }
            }
        }
    }
}

fn shown(settings: &Settings, text: &str) -> String {
    let secrets: Vec<&Secret> = settings.password.iter().collect();
    redact::answer(text, &secrets)
}

/// The mail and whom it goes to.
fn write(settings: &Settings, part: &Part, words: &Words) -> Result<(Envelope, Vec<u8>), String> {
    let from = mailbox(&settings.from)?;
    let everybody: Vec<Mailbox> = settings
        .recipients
        .iter()
        .map(|recipient| mailbox(recipient))
        .collect::<Result<_, _>>()?;
    let addressed = match part.recipient {
        Some(number) => everybody.get(number).into_iter().cloned().collect(),
        None => everybody.clone(),
    };
    let envelope = Envelope::new(
        Some(from.email.clone()),
        addressed
            .into_iter()
            .map(|recipient| recipient.email)
            .collect(),
    )
    .map_err(|error| error.to_string())?;
    let everybody: Mailboxes = everybody.into_iter().collect();
    let id: String = part
        .notification
        .id
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .collect();
    let message = Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .from(from)
        .mailbox(lettre::message::header::To::from(everybody))
        .subject(one_line(&words.title))
        .date_now()
        .header(ContentType::TEXT_PLAIN)
        .body(words.text.replace('\r', ""))
        .map_err(|error| error.to_string())?;
    Ok((envelope, message.formatted()))
}

/// A header's value: a line break in it would begin a header of somebody else's.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

fn transport(
    settings: &Settings,
    timeout: Duration,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let parameters = || {
        let mut builder = TlsParameters::builder(settings.host.clone());
        if !tls::machine_has_authorities() {
            builder = builder.certificate_store(CertificateStore::WebpkiRoots);
        }
        builder.build_rustls()
    };
    let tls = match settings.tls {
        Tls::None => lettre::transport::smtp::client::Tls::None,
        Tls::StartTls => lettre::transport::smtp::client::Tls::Required(parameters()?),
        Tls::Tls => lettre::transport::smtp::client::Tls::Wrapper(parameters()?),
    };
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.clone())
            .port(settings.port)
            .timeout(Some(timeout))
            .tls(tls);
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.contains('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    {
        builder = builder.hello_name(ClientId::Domain(name));
    }
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_a_server() {
        for (address, tls, want) in [
            (
                "smtp://mail.example.com:2525",
                Tls::None,
                Some(("mail.example.com", 2525)),
            ),
            (
                "smtp://mail.example.com",
                Tls::StartTls,
                Some(("mail.example.com", 587)),
            ),
            (
                "smtps://mail.example.com",
                Tls::Tls,
                Some(("mail.example.com", 465)),
            ),
            (
                "mail.example.com:25",
                Tls::Tls,
                Some(("mail.example.com", 25)),
            ),
            ("mail", Tls::None, Some(("mail", 25))),
            ("smtp://[::1]:25", Tls::None, Some(("::1", 25))),
            ("http://mail.example.com", Tls::None, None),
            ("smtp://", Tls::None, None),
            ("smtp://user:canary@mail", Tls::None, None),
            ("smtp://mail:notaport", Tls::None, None),
        ] {
            let got = server(address, tls);
            let got = got.as_ref().map(|(host, port)| (host.as_str(), *port));
            assert_eq!(got.ok(), want, "{address}");
            if let Err(message) = server(address, tls) {
                assert!(!message.contains("canary"));
            }
        }
    }
}
