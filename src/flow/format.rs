//! The formats a record can have. `registry.rs` lists them with their parsers.

use serde::{Deserialize, Serialize};

macro_rules! make {
    ($($group:ident { $($Format:ident: $file:ident,)* })*) => {
        /// One format. The order is the registry's: recognisers are asked in it, and it breaks ties.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "lowercase")]
        #[repr(u8)]
        pub enum Format {
            $($($Format,)*)*
        }

        impl Format {
            pub const ALL: [Format; [$($(Format::$Format,)*)*].len()] =
                [$($(Format::$Format,)*)*];

            /// The name in `--format` and in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Format::$Format => stringify!($file),)*)*
                }
            }
        }
    };
}

formats!(make);

// The variants come from the list, where none can be marked.
#[allow(clippy::derivable_impls)]
impl Default for Format {
    fn default() -> Format {
        Format::Plain
    }
}
