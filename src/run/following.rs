//! What is followed, and what a start without a state directory gives up.

use std::path::PathBuf;

use crate::sources::follow::From;

/// Files that are followed, as asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Following {
    pub from: From,
    /// Globs of paths or names.
    pub exclude: Vec<String>,
    pub state: Option<PathBuf>,
    /// Never ask the kernel to tell of changes.
    pub poll: bool,
}

impl Following {
    /// What a start without a state directory gives up, for the user; `at_crash` is what is gone then.
    pub fn note(&self, at_crash: &str) -> Option<String> {
        let begins = match self.from {
            From::End => "at the end of the files, past what was written meanwhile".to_owned(),
            From::Start => "at the start of the files again".to_owned(),
            From::Tail(lines) => format!("{lines} lines before the end of each file"),
        };
        self.state.is_none().then(|| {
            format!("no --state: a crash loses {at_crash}, and the next start begins {begins}")
        })
    }
}
