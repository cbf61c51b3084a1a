//! Whom to trust: the machine's certificate authorities, or Mozilla's where there are none (a
//! container made from nothing). Verification cannot be switched off.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// Whether the machine has certificate authorities of its own.
pub fn machine_has_authorities() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
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
