//! Recognises the format of a record: asks the parsers in the registry's order. The first that
//! says yes has read it; what none takes is plain text. `layers` asks here for each layer of a record.
//!
//! The answer is a function of the record's bytes and its source's facts. No last format is
//! remembered: a parser turns away what is not its own by the first bytes.

use crate::flow::facts::{CsvHeader, Facts};
use crate::flow::format::Format;
use crate::flow::row::Row;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::extract::Extracts;
use crate::parsers::heads;
use crate::parsers::known::Known;
use crate::parsers::layers::{LAYERS_MAX, Layer};
use crate::parsers::pairs;
use crate::parsers::time::Clock;

/// Makes the parsers, the order in which they are asked, and the function that asks: one call after the
/// other, since a loop over the list would jump to a place that no processor can predict.
macro_rules! make {
    (
        text { $($Text:ident: $text:ident,)* }
        container { $($Container:ident: $container:ident,)* }
        samples { $($Samples:ident: $samples:ident,)* }
        last { $Csv:ident: $csv:ident, $Plain:ident: $plain:ident, }
    ) => {
        /// One of each parser, with their caches.
        pub struct Parsers {
            clock: Option<Clock>,
            header: Option<CsvHeader>,
            forced: Option<Format>,
            $($text: crate::parsers::$text::Parser,)*
            $($samples: crate::parsers::$samples::Parser,)*
            $csv: crate::parsers::$csv::Parser,
            $plain: crate::parsers::$plain::Parser,
            extracts: Extracts,
            pub(super) heads: Known<{ heads::NAMES.len() }>,
            pub(super) pairs: pairs::Fields,
            /// Rows of inner layers, to be used again.
            pub(super) spare: Vec<Row>,
            /// The record without its colour codes.
            pub(super) uncoloured: Vec<u8>,
            /// Decoded messages that are read as records, one for each layer.
            pub(super) buffers: [Vec<u8>; LAYERS_MAX],
            slots: usize,
            /// The layers of the record that was read last, if they are asked for.
            pub(super) trail: Option<Vec<Layer>>,
        }

        /// Formats of what stands behind a head or in a message; samples are records of their own only.
        const INNER: &[Format] = &[$(Format::$Text),*];

        /// The order of `Format::ALL`.
        const ORDER: &[Format] = &[$(Format::$Text,)* $(Format::$Samples,)* Format::$Plain];

        impl Parsers {
            pub fn new(wanted: &Wanted) -> Parsers {
                // What a message holds may say the time and the level, and both say what a message may
                // hold: a plan that does not ask for one of them must not get another answer.
                let wanted = &Wanted {
                    time: true,
                    level: true,
                    message: true,
                    ..wanted.clone()
                };
                Parsers {
                    clock: None,
                    header: None,
                    forced: None,
                    $($text: crate::parsers::$text::Parser::new(wanted),)*
                    $($samples: crate::parsers::$samples::Parser::new(wanted),)*
                    $csv: crate::parsers::$csv::Parser::new(wanted),
                    $plain: crate::parsers::$plain::Parser::new(wanted),
                    extracts: Extracts::new(wanted),
                    heads: Known::new(heads::NAMES, wanted),
                    pairs: pairs::Fields::new(wanted),
                    spare: Vec::new(),
                    uncoloured: Vec::new(),
                    buffers: [const { Vec::new() }; LAYERS_MAX],
                    slots: wanted.paths.len(),
                    trail: None,
                }
            }

            #[inline]
            pub(super) fn recognise(&mut self, record: &[u8], row: &mut Row) -> Format {
                if self.header.is_some() && self.read(Format::$Csv, record, row) {
                    return Format::$Csv;
                }
                // Fast path: most parsers cannot read a record that begins with this byte, and
                // asking them costs more than reading it does (a test asks them all).
                let possible = record.first().map_or(0, |&byte| POSSIBLE[usize::from(byte)]);
                $(
                    if possible & bit(Format::$Text) != 0 && self.read(Format::$Text, record, row) {
                        return Format::$Text;
                    }
                )*
                $(
                    if possible & bit(Format::$Samples) != 0 && self.read(Format::$Samples, record, row) {
                        return Format::$Samples;
                    }
                )*
                self.read(Format::$Plain, record, row);
                Format::$Plain
            }

            /// Whether the record has this format; if not, the row is empty again.
            #[inline(always)]
            pub(super) fn read(&mut self, format: Format, record: &[u8], row: &mut Row) -> bool {
                let clock = self
                    .clock
                    .as_mut()
                    .expect("facts are set before the first record");
                let read = match format {
                    $(Format::$Text => self.$text.parse(record, clock, row),)*
                    $(Format::$Samples => self.$samples.parse(record, clock, row),)*
                    Format::$Csv => self
                        .header
                        .as_ref()
                        .is_some_and(|header| self.$csv.parse(record, header, clock, row)),
                    Format::$Plain => self.$plain.parse(record, clock, row),
                    $(Format::$Container => false,)*
                };
                if !read {
                    row.reset();
                }
                read
            }
        }
    };
}

formats!(make);

impl Parsers {
    /// Reads the records that follow with the facts of another source.
    pub fn set_facts(&mut self, facts: &Facts) {
        self.clock = Some(Clock::new(facts));
        self.header = facts.csv.clone();
        self.forced = facts.format;
        self.prometheus.set_facts(facts);
        self.influx.set_facts(facts);
    }

    /// Writes down the layers of the records that follow.
    pub fn watch_layers(&mut self) {
        self.trail = Some(Vec::new());
    }

    /// The layers of the record that was read last, outermost first.
    pub fn layers(&mut self) -> Vec<Layer> {
        self.trail.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Reads `record` into `row`, which is empty.
    pub fn parse(&mut self, record: &[u8], row: &mut Row) {
        match self.forced {
            None => self.read_layers(record, row),
            Some(format) => row.format = self.read_as(format, record, row),
        }
        self.extracts.apply(record, row);
    }

    /// An empty row of the plan's shape, for an inner layer.
    pub(super) fn row(&mut self) -> Row {
        match self.spare.pop() {
            Some(mut row) => {
                row.reset();
                row
            }
            None => Row::new(self.slots),
        }
    }

    /// The time that a text is, as a field's whole value.
    pub fn time(&mut self, text: &[u8]) -> Option<Time> {
        self.clock.as_mut()?.field(text)
    }

    /// The format of what stands behind a head or in a message: samples are records of their own only.
    pub(super) fn recognise_inner(&mut self, record: &[u8], row: &mut Row) -> Format {
        let possible = record
            .first()
            .map_or(0, |&byte| POSSIBLE[usize::from(byte)]);
        for &format in INNER {
            if possible & bit(format) == 0 || !self.read(format, record, row) {
                continue;
            }
            // A few pairs in a message are text unless one of them is the level, the time or the message.
            if format == Format::Logfmt && !self.logfmt.names_itself() {
                row.reset();
                continue;
            }
            return format;
        }
        self.read(Format::Plain, record, row);
        Format::Plain
    }

    pub(super) fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// A forced format: what is not of it is plain text.
    fn read_as(&mut self, format: Format, record: &[u8], row: &mut Row) -> Format {
        if self.read(format, record, row) {
            return format;
        }
        self.read(Format::Plain, record, row);
        Format::Plain
    }
}

const fn bit(format: Format) -> u16 {
    1 << format as u16
}

/// For each first byte of a record the formats that it can have. Only those are listed apart whose
/// parsers are asked early and often; the others may begin with anything.
const POSSIBLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let first = byte as u8;
        let mut formats = u16::MAX;
        if !matches!(first, b'{' | b' ' | b'\t' | b'\n' | b'\r' | 0xef) {
            formats &= !bit(Format::Json);
        }
        if !(first.is_ascii_alphabetic() || matches!(first, b'_' | b'@')) {
            formats &= !bit(Format::Logfmt);
        }
        if !(first.is_ascii_alphanumeric() || first == b'<') {
            formats &= !bit(Format::Syslog);
        }
        if !first.is_ascii_uppercase() {
            formats &= !bit(Format::Klog);
        }
        table[byte] = formats;
        byte += 1;
    }
    table
};

/// The formats that are asked before `format` takes a record of a source with these facts; a
/// forced format that says no leaves plain text.
pub fn tried(facts: &Facts, format: Format) -> Vec<Format> {
    match facts.format {
        Some(forced) if forced == format => Vec::new(),
        Some(forced) => vec![forced],
        None => {
            let before = order(facts.csv.as_ref());
            before.take_while(|&asked| asked != format).collect()
        }
    }
}

/// The formats that a source with this header can have, in the order in which they are asked. The
/// header is a fact of the source, and its records look like anything.
fn order(header: Option<&CsvHeader>) -> impl Iterator<Item = Format> {
    header
        .map(|_| Format::Csv)
        .into_iter()
        .chain(ORDER.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLES: [&str; 12] = [
        r#"{"level":"error","msg":"x"}"#,
        r#"level=info msg="a b" took=5ms"#,
        "<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 - text",
        "<34>Oct 11 22:14:15 host su[12]: text",
        "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass; user unknown",
        "2024-03-01T00:00:00+01:00 host app[1]: text",
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 23"#,
        "E0517 15:04:22.619632 952 logging_unittest.cc:253] Log",
        "2024-03-01 00:00:00,123 INFO [main] a.B: text",
        r#"http_requests_total{method="post"} 1027 1395066363000"#,
        "gorets:1|c",
        "cpu,host=a usage=1i 1465839830100400200",
    ];

    fn parsers() -> Parsers {
        let wanted = Wanted {
            time: true,
            level: true,
            message: true,
            ..Wanted::default()
        };
        let mut parsers = Parsers::new(&wanted);
        let facts = Facts {
            zone: jiff::tz::TimeZone::UTC,
            anchor: Time(0),
            format: None,
            csv: None,
        };
        parsers.set_facts(&facts);
        parsers
    }

    #[test]
    fn every_sample_is_recognised() {
        let formats = SAMPLES.map(|sample| {
            let mut row = Row::new(0);
            parsers().parse(sample.as_bytes(), &mut row);
            row.format.name()
        });
        let wanted =
            "json logfmt syslog syslog syslog syslog access klog log4j prometheus statsd influx";
        assert_eq!(formats.join(" "), wanted);
    }

    proptest! {
        /// The table of first bytes only spares work: no parser reads what it says it cannot.
        #[test]
        fn the_first_byte_never_hides_a_format(sample in 0..SAMPLES.len(), first: u8, insert: bool) {
            let mut record = SAMPLES[sample].as_bytes().to_vec();
            if insert { record.insert(0, first) } else { record[0] = first }
            let mut parsers = parsers();
            let mut row = Row::new(0);
            for &format in ORDER {
                if parsers.read(format, &record, &mut row) {
                    prop_assert!(POSSIBLE[usize::from(first)] & bit(format) != 0, "{}", format.name());
                }
                row.reset();
            }
        }
    }
}
