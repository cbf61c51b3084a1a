//! From the bytes of a record to its time, level, message and wanted fields: one file a format. `registry.rs`
//! lists them.
//!
//! Every format has a `Parser` with the same two functions:
//!
//! * `Parser::new(&Wanted) -> Parser` resolves the wanted names once; it may hold caches and
//!   scratch, which never change a result.
//! * `parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool` fills the row and
//!   says whether the record has this format. The answer depends on the record's own bytes alone
//!   (and on the source's [`Facts`](crate::flow::facts::Facts)). After `false` the row may be
//!   half-filled: the caller resets it.
//!
//! A record comes without its final LF or CRLF; a joined record holds inner line feeds. It is at
//! most a few MiB, any bytes at all.

mod colours;
pub mod detect;
pub mod documents;
mod extract;
mod heads;
pub mod layers;

macro_rules! make {
    (
        text { $($Text:ident: $text:ident,)* }
        container { $($Container:ident: $container:ident,)* }
        samples { $($Samples:ident: $samples:ident,)* }
        last { $($Last:ident: $last:ident,)* }
    ) => {
        $(pub mod $text;)*
        $(pub mod $samples;)*
        $(pub mod $last;)*
    };
}

formats!(make);

mod failure;
mod known;
pub mod level;
mod lifted;
pub mod pairs;
mod sample;
mod stamp;
pub mod start;
mod tails;
pub mod time;
#[cfg(test)]
mod truth;
