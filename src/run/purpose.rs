//! Tells apart what runs compute, so that a state directory is used for one thing only.

/// What is computed, as one text: a state directory holds the state of this and of nothing else. Only
/// flags that change what comes out belong here; where it goes and how fast it is does not.
#[derive(Debug, Default)]
pub struct Purpose(String);

impl Purpose {
    pub fn new(command: &str) -> Purpose {
        Purpose(command.to_owned())
    }

    /// Adds a flag with its values, if there are any.
    pub fn add<V: std::fmt::Debug>(
        mut self,
        flag: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Purpose {
        for value in values {
            self.0.push_str(&format!(" {flag}={value:?}"));
        }
        self
    }

    /// Adds a flag that is there or not.
    pub fn flag(mut self, flag: &str, given: bool) -> Purpose {
        if given {
            self.0.push(' ');
            self.0.push_str(flag);
        }
        self
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}
