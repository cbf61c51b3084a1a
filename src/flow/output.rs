//! What goes to a sink.

/// Bytes for a sink, whole lines with their line feeds.
#[derive(Debug, Default)]
pub struct Output {
    pub bytes: Vec<u8>,
    /// How many kept records the bytes stand for.
    pub records: u64,
}
