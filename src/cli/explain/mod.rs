//! `weir explain LINE`: how one line is read, and what keeps or drops it. It asks the framer, the
//! parsers, the masker and the conditions that a run asks, in the mapper's order, and only writes
//! down what they say.

mod configured;
mod json;
mod origin;
mod selection;
mod text;

use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;

use crate::cli::args::{ExplainArgs, Format as OutputFormat};
use crate::cli::explain::configured::{Configuration, Configured};
use crate::cli::select::{Common, common};
use crate::cli::{config, output};
use crate::error::Failure;
use crate::expr::condition::View;
use crate::flow::facts::{CsvHeader, Facts};
use crate::flow::fingerprint::Fingerprint;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row};
use crate::flow::time::Time;
use crate::framing::container::Wrapping;
use crate::framing::frame::{Framer, Records};
use crate::framing::{LINE_BYTES_MAX, RECORD_BYTES_MAX};
use crate::parsers::csv;
use crate::parsers::detect::{self, Parsers};
use crate::parsers::documents;
use crate::parsers::layers::Layer;
use crate::plan::Select;
use crate::plan::setup::{self, Purpose, Setup};
use crate::process::diagnostics;
use crate::sources::prepared::Preparation;
use crate::stages::fingerprint::Masker;
use crate::units::{Quantity, Unit};
use origin::TimeOrigin;
use selection::Test;

/// More of standard input is not read: one record and one line more always fit.
const INPUT_BYTES_MAX: usize = RECORD_BYTES_MAX + 2 * LINE_BYTES_MAX;

/// What is known about the first record of an input.
struct Explanation {
    /// Lines of the input and records they make; only the first is explained.
    lines: u32,
    records: usize,
    /// Runtime, stream and time of a container's wrapping.
    container: Option<(Format, &'static str, String)>,
    format: Format,
    /// The user said so.
    forced: bool,
    /// Formats that were asked before and said no.
    tried: Vec<Format>,
    /// Heads, formats and tails of the record, outermost first.
    layers: Vec<Layer>,
    time: Option<(Time, TimeOrigin)>,
    /// The level and where it stands.
    level: Option<(Level, String)>,
    message: Vec<u8>,
    masked: Vec<u8>,
    fingerprint: Fingerprint,
    fields: Vec<Field>,
    /// In the order in which a run looks at them.
    tests: Vec<Test>,
    /// `-l`, if it was given.
    list: Option<Level>,
    /// With `-c`.
    configured: Option<Configured>,
}

/// A field as it was read.
struct Field {
    name: Vec<u8>,
    kind: Kind,
    value: Vec<u8>,
    quantity: Option<Quantity>,
}

impl Explanation {
    /// Whether `weir` counts the record.
    fn selected(&self) -> bool {
        self.tests.iter().all(|test| test.passes)
    }
}

pub fn run(args: ExplainArgs) -> Result<u8, Failure> {
    let input = input(&args)?;
    let configuration = configuration(&args)?;
    let common = match &configuration {
        Some(configuration) => reading(&configuration.setup),
        None => common(&args.select)?,
    };
    for note in &common.notes {
        diagnostics::say(note);
    }
    let explanation = explain(&input, &args, common, configuration.as_ref())?;
    match args.output {
        OutputFormat::Json => output::write_escaped(json::write(&explanation))?,
        OutputFormat::Text => {
            let terminal = io::stdout().is_terminal();
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            output::write(None, text::write(&explanation, terminal && !plain))?;
        }
    }
    Ok(0)
}

/// The configuration that `-c` names.
fn configuration(args: &ExplainArgs) -> Result<Option<Configuration>, Failure> {
    if args.config.is_empty() {
        return Ok(None);
    }
    let loaded = config::load_files(&args.config, args.env.as_deref())?;
    // Nothing is sent, so no secret is needed.
    let setup = setup::setup(&loaded, Purpose::Replay, None)?;
    Ok(Some(Configuration { loaded, setup }))
}

/// How a configuration has records read.
fn reading(setup: &Setup) -> Common {
    Common {
        select: Select::default(),
        wanted: setup.plan.wanted.clone(),
        multiline: setup.plan.multiline.clone(),
        zone: setup.zone.clone(),
        zone_name: setup.shape.zone.clone(),
        format: setup.format,
        prepare: Preparation::new(documents::recognise),
        now: setup.now,
        notes: setup.notes.clone(),
    }
}

/// The bytes to explain, with a line feed at their end.
fn input(args: &ExplainArgs) -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    if args.line == "-" {
        io::stdin()
            .take(INPUT_BYTES_MAX as u64)
            .read_to_end(&mut input)
            .map_err(|error| Failure::io(format!("standard input: {error}")))?;
        if input.is_empty() {
            return Err(Failure::usage(
                "standard input is empty: no line to explain",
            ));
        }
    } else {
        input.extend_from_slice(args.line.as_bytes());
    }
    if !input.ends_with(b"\n") {
        input.push(b'\n');
    }
    Ok(input)
}

/// Reads the first record of `input` as a run would.
fn explain(
    input: &[u8],
    args: &ExplainArgs,
    common: Common,
    configuration: Option<&Configuration>,
) -> Result<Explanation, Failure> {
    let Common {
        select, mut wanted, ..
    } = common;
    wanted.time = true;
    wanted.level = true;
    wanted.message = true;
    wanted.all = true;
    // A header is one only if records follow it.
    let header_bytes = CsvHeader::end(input).unwrap_or(0);
    let csv = (header_bytes < input.len())
        .then(|| csv::header_unless(input[..header_bytes].trim_ascii_end(), common.format))
        .flatten();
    let chunk = if csv.is_some() {
        &input[header_bytes..]
    } else {
        input
    };
    let facts = Facts {
        zone: common.zone,
        anchor: common.now,
        format: common.format,
        csv,
    };

    let mut records = Records::default();
    Framer::new(common.multiline).frame(chunk, &mut records);
    let Some(record) = records.all().first() else {
        return Err(Failure::usage("no record in the input: nothing to explain"));
    };
    let payload = records.payload(chunk, record);
    let container = records.container(record);
    let mut parsers = Parsers::new(&wanted);
    parsers.set_facts(&facts);
    parsers.watch_layers();
    let mut row = Row::new(wanted.paths.len());
    parsers.parse(payload, &mut row);
    let layers = parsers.layers();
    let format = row.format;
    let wrapping = container.map(|container| match container.wrapping {
        Wrapping::Docker => Format::Docker,
        Wrapping::Cri => Format::Cri,
    });
    if let Some(wrapping) = wrapping {
        row.format = wrapping;
    }
    let written = container.map(|container| container.time.of(chunk));
    let origin = origin::time(&row, payload, &facts);
    if row.time.is_none()
        && let Some(written) = written
    {
        row.time = parsers.time(written);
    }
    let time = row.time.map(|time| {
        let origin = origin.or_else(|| origin::container_time(written?, &facts));
        (time, origin.unwrap_or_default())
    });

    let message = row.bytes(payload, row.message);
    let mut masker = Masker::new();
    let (masked, fingerprint) = masker.mask(message);
    let label = fingerprint.to_string();
    let raw = records.lines_of(record)[0].of(chunk);
    let view = View {
        row: &row,
        record: payload,
        raw: crate::framing::text(raw),
        source: "-",
        line: u64::from(record.first_line) + 1,
        fingerprint: Some(&label),
        template: None,
    };
    let searched = if container.is_some() {
        payload
    } else {
        record.lines.of(chunk)
    };
    let tests = match configuration {
        Some(configuration) => configuration.tests(&view, searched),
        None => selection::tests(&select, &args.select, &wanted, &view, searched),
    };
    let configured = configuration.map(|configuration| configuration.look(&view));
    let fields = row
        .fields
        .iter()
        .map(|field| {
            let value = row.bytes(payload, field.value.text);
            Field {
                name: row.bytes(payload, field.name).to_vec(),
                kind: field.value.kind,
                value: value.to_vec(),
                quantity: quantity(field.value.kind, value),
            }
        })
        .collect();
    Ok(Explanation {
        lines: records.line_count(),
        records: records.all().len(),
        container: container.zip(wrapping).map(|(container, wrapping)| {
            let time = String::from_utf8_lossy(container.time.of(chunk)).into_owned();
            (wrapping, container.stream.name(), time)
        }),
        format,
        forced: facts.format.is_some(),
        tried: detect::tried(&facts, format),
        layers,
        time,
        level: row
            .level
            .map(|level| (level, origin::level(level, format, &row, payload))),
        message: message.to_vec(),
        masked: masked.to_vec(),
        fingerprint,
        fields,
        tests,
        list: args.level.map(Level::from),
        configured,
    })
}

/// The number that a value is in conditions and metrics, where the value alone does not show it.
fn quantity(kind: Kind, value: &[u8]) -> Option<Quantity> {
    let quantity = match kind {
        Kind::Number | Kind::String => Quantity::parse(value)?,
        _ => return None,
    };
    (kind == Kind::String || quantity.unit != Unit::None).then_some(quantity)
}

#[cfg(test)]
mod tests;
