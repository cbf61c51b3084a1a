//! The path of `--each`: `Results[].Vulnerabilities[]`, `items[]`, `[]`.

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(Vec<u8>),
    /// Each element of an array.
    All,
}

/// Which values of a document are records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Each {
    pub steps: Vec<Step>,
}

impl Each {
    /// Splits at dots; `[]` behind a name, or alone, is each element.
    pub fn new(text: &str) -> Each {
        let mut steps = Vec::new();
        for part in text.trim().trim_start_matches('.').split('.') {
            let mut name = part;
            let mut all = 0;
            while let Some(rest) = name.strip_suffix("[]") {
                name = rest;
                all += 1;
            }
            if !name.is_empty() {
                steps.push(Step::Key(name.as_bytes().to_vec()));
            }
            steps.extend(std::iter::repeat_n(Step::All, all));
        }
        Each { steps }
    }

    /// As a person writes it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            match step {
                Step::All => text.push_str("[]"),
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&String::from_utf8_lossy(key));
                }
            }
        }
        text
    }

    /// What is wrong with a path that a person wrote.
    pub fn problem(text: &str) -> Option<&'static str> {
        if text.trim().is_empty() {
            return Some("is empty; name the elements like \"Results[].Vulnerabilities[]\"");
        }
        if text.replace("[]", "").contains(['[', ']', '*']) {
            return Some(
                "is no path; write [] for each element, like \"Results[].Vulnerabilities[]\"",
            );
        }
        (!text.contains("[]")).then_some(
            "names no elements; write [] behind the array, like \"Results[].Vulnerabilities[]\"",
        )
    }
}
