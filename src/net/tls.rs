//! Whom to trust: the machine's certificate authorities, or Mozilla's where there are none (a
//! container made from nothing). Verification cannot be switched off.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::flow::time::Time;

/// Whether the machine has certificate authorities of its own.
pub fn machine_has_authorities() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
}

/// What is wrong with a certificate, in words for people, if that is what an error or one of its causes
/// is about.
pub fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(inner) = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        return reason(inner);
    }
    match error.downcast_ref::<rustls::Error>() {
        Some(error) => of_certificate(error),
        None => reason(error.source()?),
    }
}

fn of_certificate(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(wrong) = error else {
        return None;
    };
    Some(match wrong {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!(
                "the server's certificate has expired at {}",
                date(*not_after)
            )
        }
        CertificateError::Expired => "the server's certificate is valid at no time".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "the server's certificate is not valid before {}",
                date(*not_before)
            )
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the server's certificate is not valid for name {}, but for {}",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::UnknownIssuer => {
            "the server's certificate is not from an authority that this machine trusts; \
             SSL_CERT_FILE names further ones"
                .to_owned()
        }
        other => format!("the server's certificate is not valid: {other}"),
    })
}

fn date(time: UnixTime) -> String {
    let second = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Time::from_parts(second, 0).map_or(format!("second {second}"), |time| time.to_string())
}

/// A client's side of TLS 1.2 and 1.3. `SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities.
pub fn client() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
