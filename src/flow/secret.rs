//! Text that may not be shown: tokens, passwords, and URLs that are passwords themselves.

use std::fmt;

/// What stands where a secret would be shown.
pub const HIDDEN: &str = "********";

/// A text that neither `{}` nor `{:?}` shows, so that no error, log line or journal can.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one who is to have it: a request, a login, a signature.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "shown by Debug alone")]
        struct Holder {
            token: Option<Secret>,
        }
        let holder = Holder {
            token: Some(Secret::new("canary")),
        };
        assert!(!format!("{holder:?} {holder:#?}").contains("canary"));
        assert!(!Secret::new("canary").to_string().contains("canary"));
        assert_eq!(Secret::new("canary").expose(), "canary");
    }
}
