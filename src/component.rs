//! What components of every kind say about the keys of their configuration.

/// How keys of one table depend on each other, beyond what the schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    ExactlyOne(&'static [&'static str]),
    AtMostOne(&'static [&'static str]),
    /// The first key and one of the others come together or not at all.
    Together(&'static str, &'static [&'static str]),
}

/// The keys under which a secret `url` may stand.
pub const URL: Keys = Keys::ExactlyOne(&["url", "url_env", "url_file"]);
