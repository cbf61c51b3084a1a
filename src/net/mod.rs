//! The network's edge, shared by notifiers and the HTTP sink: one client, when to try again, and what
//! may be shown of an address. It knows neither alerts nor lines.

pub mod http;
pub mod redact;
pub mod retry;
pub mod tls;
