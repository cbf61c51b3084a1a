//! What components of every kind say about the keys of their configuration, and what they may ask for while
//! it is resolved.

use crate::flow::secret::Secret;

/// Makes the modules of a list of components, and the enum of their configurations, which `type` tells apart.
macro_rules! configurations {
    ($(#[$doc:meta])* $($Variant:ident: $file:ident,)*) => {
        $(pub mod $file;)*

        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(tag = "type", rename_all = "lowercase")]
        #[schemars(inline)]
        pub enum Config {
            $($Variant($file::Config),)*
        }
    };
}
pub(crate) use configurations;

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

/// What a component may ask for while its table of the configuration is resolved.
pub trait Resolver {
    /// The secret that stands under `key`, in the variable that `KEY_env` names or in the file that
    /// `KEY_file` names. `None` if none of them is given, or after a mistake, which is then reported.
    fn secret(&mut self, key: &str) -> Option<Secret>;

    /// Reports what is doubtful about the value of `key`, and no mistake.
    fn note(&mut self, key: &str, text: String);
}
