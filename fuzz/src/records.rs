//! Records: every format, forced and recognised, and the whole way from bytes to the report.

use std::sync::Arc;

use logweir::engine::mapper::Mapper;
use logweir::expr::condition::Condition;
use logweir::flow::batch::{Batch, Content, SourceId};
use logweir::flow::chunk::Chunk;
use logweir::flow::facts::Facts;
use logweir::flow::format::Format;
use logweir::flow::key::{GroupField, Grouping};
use logweir::flow::level::Level;
use logweir::flow::output::LinesTask;
use logweir::flow::row::Row;
use logweir::flow::wanted::{Path, Wanted};
use logweir::framing::Multiline;
use logweir::framing::cut::cut;
use logweir::parsers::csv;
use logweir::parsers::detect::Parsers;
use logweir::plan::{Plan, ReportTask, Select, Task};
use logweir::report::{Report, json, prometheus, text};
use logweir::stages::aggregate::Metric;
use logweir::stages::literals::Literals;
use logweir::state::{Shape, State, snapshot};
use serde_json::Value;

use super::bytes::multiline;
use super::{Choices, facts, obeyed};

/// Whatever a record is read as, every text of its row lies within it, and what the parsers remember
/// of the records before does not show (law 5).
pub fn formats(data: &[u8]) {
    let mut choices = Choices(data);
    let forced = choices.below(Format::ALL.len() + 1);
    let wanted = Wanted {
        time: choices.flag(),
        level: choices.flag(),
        message: choices.flag(),
        numbers: choices.flag(),
        all: choices.flag(),
        paths: ["service", "latency_ms", "a.b", "host"]
            .map(Path::new)
            .to_vec(),
        ..Wanted::default()
    };
    let mut facts = facts();
    facts.format = Format::ALL.get(forced).copied();
    let mut lines = choices.0.split(|&byte| byte == b'\n');
    if facts.format == Some(Format::Csv) {
        facts.csv = lines.next().and_then(csv::header);
    }
    let mut used = Parsers::new(&wanted);
    used.set_facts(&facts);
    let mut row = Row::new(wanted.paths.len());
    let records: Vec<&[u8]> = lines.take(64).collect();
    let mut last = Vec::new();
    for record in &records {
        row.reset();
        used.parse(record, &mut row);
        last = texts(&row, record);
    }
    // Parsers that have read nothing yet; making them costs more than reading many records.
    if let Some(record) = records.last() {
        let mut fresh = Parsers::new(&wanted);
        fresh.set_facts(&facts);
        row.reset();
        fresh.parse(record, &mut row);
        assert_eq!(last, texts(&row, record), "{:?}", record.escape_ascii());
    }
}

/// Everything that a row says, spelt out; panics if a text lies outside of the record.
fn texts(row: &Row, record: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = vec![
        format!("{:?} {:?} {:?}", row.format, row.time, row.level).into_bytes(),
        row.weight.to_bits().to_be_bytes().to_vec(),
        row.bytes(record, row.message).to_vec(),
    ];
    for value in &row.values {
        texts.push(format!("{:?}", value.kind).into_bytes());
        texts.push(row.bytes(record, value.text).to_vec());
    }
    for field in row.numbers.iter().chain(&row.fields) {
        texts.push(row.bytes(record, field.name).to_vec());
        texts.push(row.bytes(record, field.value.text).to_vec());
    }
    texts
}

const CONDITIONS: [&str; 5] = [
    "level >= warn",
    "message contains \"timeout\"",
    "latency_ms > 10 or has(service)",
    "raw =~ \"E.*R\" and not (service == \"a\")",
    "time >= \"2024-01-01\"",
];

/// From bytes to the report: nothing is lost (law 2), neither where the reader cuts (law 1) nor that
/// two runs were merged (law 4) nor the prefilter (law 5) shows, and no report holds what a terminal
/// obeys.
pub fn pipeline(data: &[u8]) {
    let mut choices = Choices(data);
    let mode = multiline(&mut choices);
    let condition = choices.below(CONDITIONS.len() + 4);
    let condition = CONDITIONS.get(condition).copied();
    let literals: &[&str] = match choices.below(4) {
        0 => &["ERROR", "at "],
        1 => &["timeout"],
        _ => &[],
    };
    let header = choices.flag();
    let split = choices.below(256);
    let input = choices.0;
    let mut facts = facts();
    if header && choices.0.starts_with(b"time,") {
        facts.csv = input
            .split(|&byte| byte == b'\n')
            .next()
            .and_then(csv::header);
    }
    let facts = Arc::new(facts);
    let report = |prefilter| report_plan(&mode, condition, literals, prefilter);
    let plan = report(true);

    let mut whole = state();
    map(&plan, &facts, &[input], 0, &mut whole);
    let ledger = &whole.ledger;
    assert_eq!(ledger.bytes, input.len() as u64);
    assert_eq!(ledger.records, ledger.kept + ledger.filtered);

    let wanted = input.len() * split / 256;
    let at = cut(&mode, &input[..wanted]).unwrap_or(0);
    let (left, right) = input.split_at(at);
    let mut cut_up = state();
    map(&plan, &facts, &[left, right], 0, &mut cut_up);
    assert_eq!(page(&cut_up), page(&whole), "cut at {at}");

    let mut unfiltered = state();
    map(&report(false), &facts, &[input], 0, &mut unfiltered);
    assert_eq!(page(&unfiltered), page(&whole), "the prefilter shows");

    let mut merged = state();
    map(&plan, &facts, &[left], 0, &mut merged);
    let mut merged = snapshot::decode(&snapshot::encode(&merged)).expect("a whole snapshot");
    let mut second = state();
    map(&plan, &facts, &[right], 0, &mut second);
    merged.merge(&second);
    let mut pages = [page(&whole), page(&merged)];
    pages.iter_mut().for_each(without_places);
    assert_eq!(pages[0], pages[1], "merged at {at}");

    let report = Report::new(&whole, Some(5));
    for color in [false, true] {
        let style = text::Style {
            color,
            width: 60,
            cut: color,
            escape: true,
        };
        let mut out = Vec::new();
        text::write(&mut out, &report, 5, &style);
        let out = String::from_utf8(out).expect("a report is UTF-8");
        assert!(color || obeyed(&out).is_none(), "{out:?}");
    }
    let _ = prometheus::page(&whole, &[]);

    let lines = lines_plan(&mode, condition, literals);
    let mut mapper = Mapper::new(&lines);
    let mapped = mapper.map(&batch(input, 0, &facts));
    assert_eq!(mapped.records.len() as u64, mapped.counts.kept);
    for line in &mapped.records {
        // The fold puts the number of the line before it and the template within it.
        let (before, behind) = line
            .text
            .of(&mapped.lines)
            .split_at(line.template_at as usize);
        let row = [b"{", before, b"null", behind].concat();
        let row: Value = serde_json::from_slice(&row).expect("a line of output is JSON");
        assert_eq!(row["source"], "in");
    }
}

fn state() -> State {
    let shape = Shape {
        list: Level::Trace,
        groupings: vec![vec!["service".to_owned(), "level".to_owned()]],
        zone: "UTC".to_owned(),
    };
    let mut state = State::new(shape, 1);
    state.open(SourceId(0), "in");
    state
}

fn select(condition: Option<&str>, literals: &[&str], wanted: &mut Wanted) -> Select {
    let zone = jiff::tz::TimeZone::UTC;
    let condition = condition
        .map(|text| Condition::parse(text, &zone, wanted).expect("a condition of this file"));
    let literals: Vec<Vec<u8>> = literals
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    Select {
        literals: (!literals.is_empty()).then(|| Literals::new(&literals, false)),
        condition,
        ..Select::default()
    }
}

fn report_plan(
    mode: &Multiline,
    condition: Option<&str>,
    literals: &[&str],
    prefilter: bool,
) -> Plan {
    let mut wanted = Wanted {
        time: true,
        level: true,
        message: true,
        paths: ["service", "latency_ms"].map(Path::new).to_vec(),
        ..Wanted::default()
    };
    let select = select(condition, literals, &mut wanted);
    let zone = jiff::tz::TimeZone::UTC;
    let failing = Condition::parse("level >= error", &zone, &mut wanted).expect("a condition");
    let slot = |name: &str| wanted.slot(name.as_bytes()).expect("it is in the list");
    let service = slot("service");
    let metrics = vec![Metric::new(slot("latency_ms"), "latency_ms")];
    Plan {
        select,
        multiline: mode.clone(),
        task: Task::Report(ReportTask {
            list: Level::Trace,
            metrics,
            groupings: vec![Grouping {
                names: vec!["service".to_owned(), "level".to_owned()],
                fields: vec![GroupField::Slot(service), GroupField::Level],
            }],
            statuses: true,
        }),
        wanted,
        conditions: vec![failing],
        prefilter,
    }
}

fn lines_plan(mode: &Multiline, condition: Option<&str>, literals: &[&str]) -> Plan {
    let mut wanted = Wanted {
        time: true,
        level: true,
        message: true,
        all: true,
        ..Wanted::default()
    };
    Plan {
        select: select(condition, literals, &mut wanted),
        wanted,
        multiline: mode.clone(),
        task: Task::Lines(LinesTask {
            level: None,
            json: true,
            count: false,
            dedup: None,
            before: 0,
            after: 0,
            as_they_come: false,
        }),
        conditions: Vec::new(),
        prefilter: true,
    }
}

fn batch(bytes: &[u8], position: usize, facts: &Arc<Facts>) -> Batch {
    Batch {
        sequence: 0,
        source: SourceId(0),
        name: "in".into(),
        facts: Arc::clone(facts),
        position: position as u64,
        lines_before: 0,
        content: Content::Read(Chunk::new(bytes.to_vec(), bytes.len())),
        header_bytes: 0,
        cut_bytes: 0,
        context_bytes: 0,
        before: Vec::new(),
        mark: None,
    }
}

fn map(plan: &Plan, facts: &Arc<Facts>, pieces: &[&[u8]], position: usize, state: &mut State) {
    let mut mapper = Mapper::new(plan);
    let mut position = position;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        state.absorb(&mapper.map(&batch(piece, position, facts)));
        position += piece.len();
    }
}

/// The whole report as JSON.
pub(super) fn page(state: &State) -> Value {
    let mut text = String::new();
    json::write(&Report::new(state, None), None, &mut |piece| {
        text.push_str(piece);
    });
    serde_json::from_str(&text).expect("a report is JSON")
}

/// Takes out what two runs rightly say otherwise: their inputs, offsets, and sums of floats, which
/// huge numbers may round to anything.
fn without_places(page: &mut Value) {
    match page {
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "inputs" | "source" | "offset" | "sum" | "mean" => *value = Value::Null,
                    _ => without_places(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}
