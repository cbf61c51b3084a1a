//! What the benches read: lines of every format made from a seed, so that every run and every
//! machine sees the same bytes. Nothing here is copied from a real log.

use std::fmt::Write;
use std::sync::Arc;

use logweir::flow::batch::{Batch, Content, SourceId};
use logweir::flow::chunk::Chunk;
use logweir::flow::facts::Facts;
use logweir::flow::format::Format;
use logweir::flow::key::{GroupField, Grouping};
use logweir::flow::level::Level;
use logweir::flow::output::LinesTask;
use logweir::flow::time::Time;
use logweir::flow::wanted::{Path, Wanted};
use logweir::framing::Multiline;
use logweir::parsers::csv;
use logweir::plan::{Plan, ReportTask, Select, Task};
use logweir::stages::aggregate::Metric;
use logweir::state::{Shape, State};

/// Bytes of one chunk of input: what the reader takes at once.
pub const CHUNK_BYTES: usize = logweir::engine::reader::CHUNK_BYTES;

/// 2024-03-01T00:00:00Z, in seconds.
const START: i64 = 1_709_251_200;

/// A generator of our own (splitmix64).
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

const SERVICES: [&str; 6] = ["auth", "cart", "mail", "orders", "search", "stock"];
const PATHS: [&str; 5] = [
    "/",
    "/index.html",
    "/api/v1/items",
    "/api/v1/orders?page=2",
    "/static/app.js",
];

/// The level of a line: 2 % errors, 5 % warnings, 10 % debug.
fn level(seeded: &mut Seeded) -> &'static str {
    match seeded.below(100) {
        0..2 => "ERROR",
        2..7 => "WARN",
        7..17 => "DEBUG",
        _ => "INFO",
    }
}

/// What a line says: one of a few kinds, with parts that vary.
pub fn message(seeded: &mut Seeded) -> String {
    let number = seeded.next();
    let (a, b) = (number % 251, number >> 8 & 0xffff);
    match number >> 61 {
        0 => format!("received block blk_{number} of size {b} from /10.250.{a}.7:50010"),
        1 => format!("task {b} finished in {a}.{b} ms on node-{a} ({b} KB sent)"),
        2 => format!("session 0x{number:x} established with timeout {b} for client /10.0.{a}.9"),
        3 => format!("could not connect to db-{a}: connection refused"),
        4 => "waiting for the next message of the queue".to_owned(),
        5 => format!("user u{b} logged in from 10.1.{a}.33 port {b}"),
        6 => format!("upstream took {b} ms, attempt {}", a % 5),
        _ => format!("{a} connections free in pool main"),
    }
}

/// `T` of second `number / 20`, as `2024-03-01` and `00:00:01.050`.
fn clock(number: u64) -> (String, String) {
    let second = number / 20;
    let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
    (
        format!("2024-03-{:02}", 1 + second / 86_400 % 28),
        format!(
            "{hours:02}:{minutes:02}:{seconds:02}.{:03}",
            number % 20 * 50
        ),
    )
}

/// Line `number` of `format`, without its line feed. Docker and CRI wrap plain text.
pub fn line(format: Format, seeded: &mut Seeded, number: u64) -> String {
    let (date, time) = clock(number);
    let epoch = START + (number / 20) as i64;
    let (service, host) = (seeded.pick(&SERVICES), seeded.below(50));
    let (latency, cpu) = (seeded.below(90_000), seeded.below(1000));
    let latency = format!("{}.{:03}", latency / 1000, latency % 1000);
    let cpu = format!("{}.{}", cpu / 10, cpu % 10);
    let level = level(seeded);
    match format {
        Format::Json => format!(
            r#"{{"ts":"{date}T{time}Z","level":"{level}","service":"{service}","host":"node-{host:02}","cpu":{cpu},"msg":"{}","latency_ms":{latency},"status":200,"trace_id":"{:032x}","http":{{"method":"GET","path":"{}","client":{{"ip":"10.2.3.{host}"}}}}}}"#,
            message(seeded),
            seeded.next(),
            seeded.pick(&PATHS),
        ),
        Format::Logfmt => format!(
            r#"ts={date}T{time}Z level={} service={service} host=node-{host:02} cpu={cpu} latency_ms={latency} msg="{}""#,
            level.to_ascii_lowercase(),
            message(seeded)
        ),
        Format::Syslog if number.is_multiple_of(2) => format!(
            r#"<134>1 {date}T{time}Z node-{host:02} {service} {} ID47 [origin ip="10.2.3.{host}" swVersion="1.{host}"] {}"#,
            seeded.below(30_000),
            message(seeded)
        ),
        Format::Syslog => format!(
            "<38>Mar  1 {} node-{host:02} {service}[{}]: {}",
            &time[..8],
            seeded.below(30_000),
            message(seeded)
        ),
        Format::Access => format!(
            r#"10.2.{host}.7 - - [01/Mar/2024:{} +0000] "GET {} HTTP/1.1" {} {} "https://www.example.com/" "Mozilla/5.0 (X11; Linux x86_64)" 0.{:03}"#,
            &time[..8],
            seeded.pick(&PATHS),
            seeded.pick(&["200", "200", "200", "304", "404", "500"]),
            seeded.below(60_000),
            seeded.below(1000),
        ),
        Format::Klog => format!(
            "{}0301 {time}000   {:5} {service}.go:{}] {}",
            &level[..1].replace('D', "I"),
            seeded.below(30_000),
            seeded.below(900),
            message(seeded)
        ),
        Format::Log4j => format!(
            "{date} {} {level} [main] org.example.{service}.Server: {}",
            time.replace('.', ","),
            message(seeded)
        ),
        Format::Prometheus => format!(
            r#"http_request_seconds_sum{{service="{service}",host="node-{host:02}"}} {latency} {epoch}000"#
        ),
        Format::Statsd => format!("api.{service}.latency:{latency}|ms|@0.1|#host:node-{host:02}"),
        Format::Influx => format!(
            "cpu,host=node-{host:02},service={service} usage_percent={cpu},latency_ms={latency} {epoch}000000000"
        ),
        Format::Csv => format!(
            "{date}T{time}Z,{level},{service},node-{host:02},{cpu},{latency},\"{}\"",
            message(seeded)
        ),
        Format::Plain => message(seeded),
        Format::Docker => format!(
            r#"{{"log":"{}\n","stream":"stdout","time":"{date}T{time}000000Z"}}"#,
            message(seeded)
        ),
        Format::Cri => format!("{date}T{time}000000Z stdout F {}", message(seeded)),
    }
}

/// The header of [`Format::Csv`].
pub const CSV_HEADER: &[u8] = b"ts,level,service,host,cpu,latency_ms,msg";

/// About `bytes` of lines of one format.
pub fn lines(format: Format, bytes: usize) -> Vec<u8> {
    let mut seeded = Seeded(1);
    let mut text = String::with_capacity(bytes + 1024);
    let mut number = 0;
    while text.len() < bytes {
        writeln!(text, "{}", line(format, &mut seeded, number)).expect("a string takes everything");
        number += 1;
    }
    text.into_bytes()
}

/// About `bytes` of lines of several formats, and with `traces` a stack trace behind some of them.
pub fn mixed(bytes: usize, traces: bool) -> Vec<u8> {
    let formats = [
        Format::Log4j,
        Format::Syslog,
        Format::Klog,
        Format::Logfmt,
        Format::Log4j,
        Format::Access,
        Format::Json,
    ];
    let mut seeded = Seeded(2);
    let mut text = String::with_capacity(bytes + 1024);
    let mut number = 0;
    while text.len() < bytes {
        let format = formats[seeded.below(formats.len() as u64) as usize];
        writeln!(text, "{}", line(format, &mut seeded, number)).expect("a string takes everything");
        if traces && format == Format::Log4j && seeded.below(10) == 0 {
            text.push_str("java.io.IOException: Connection reset by peer\n");
            for frame in 0..8 {
                let at = seeded.below(900);
                writeln!(text, "\tat org.example.Pool.run{frame}(Pool.java:{at})")
                    .expect("a string takes everything");
            }
        }
        number += 1;
    }
    text.into_bytes()
}

/// Facts of a source whose clock stands after the lines above.
pub fn facts(format: Option<Format>) -> Facts {
    Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time::from_parts(START + 90 * 86_400, 0).expect("2024 is in range"),
        format,
        csv: (format == Some(Format::Csv))
            .then(|| csv::header(CSV_HEADER).expect("the header above is one")),
    }
}

/// Time, level and message, and these fields.
pub fn wanted(paths: &[&str]) -> Wanted {
    Wanted {
        time: true,
        level: true,
        message: true,
        paths: paths.iter().map(|path| Path::new(path)).collect(),
        ..Wanted::default()
    }
}

/// A plan without selection or conditions.
pub fn plan(task: Task, wanted: Wanted, multiline: Multiline) -> Plan {
    Plan {
        select: Select::default(),
        wanted,
        multiline,
        task,
        conditions: Vec::new(),
        prefilter: true,
    }
}

/// `weir -l LEVEL`.
pub fn report(list: Level) -> Plan {
    let task = Task::Report(ReportTask {
        list,
        metrics: Vec::new(),
        groupings: Vec::new(),
        statuses: false,
    });
    let wanted = Wanted {
        numbers: true,
        ..wanted(&[])
    };
    plan(task, wanted, Multiline::Auto)
}

/// `weir --by service --metric latency_ms --metric cpu`.
pub fn metrics() -> Plan {
    let task = Task::Report(ReportTask {
        list: Level::Warn,
        metrics: vec![Metric::new(1, "latency_ms"), Metric::new(2, "cpu")],
        groupings: vec![by_service()],
        statuses: false,
    });
    plan(
        task,
        wanted(&["service", "latency_ms", "cpu"]),
        Multiline::Auto,
    )
}

/// The grouping of [`metrics`]: slot 0.
pub fn by_service() -> Grouping {
    Grouping {
        names: vec!["service".to_owned()],
        fields: vec![GroupField::Slot(0)],
    }
}

/// `weir filter`, which writes lines as they are.
pub fn filter() -> LinesTask {
    LinesTask {
        level: None,
        json: false,
        count: false,
        dedup: None,
        before: 0,
        after: 0,
        as_they_come: false,
    }
}

/// The empty state that belongs to `plan`.
pub fn state(plan: &Plan) -> State {
    let (list, groupings) = match &plan.task {
        Task::Report(task) => (task.list, &*task.groupings),
        Task::Lines(_) | Task::Run(_) => (Level::Trace, &[][..]),
    };
    let shape = Shape {
        list,
        groupings: groupings.iter().map(|by| by.names.clone()).collect(),
        zone: "UTC".to_owned(),
    };
    State::new(shape, plan.conditions.len())
}

/// `bytes`, whole lines, as batches of [`CHUNK_BYTES`].
pub fn batches(bytes: &[u8]) -> Vec<Batch> {
    let facts = Arc::new(facts(None));
    let name: Arc<str> = "bench".into();
    let mut batches = Vec::new();
    let mut from = 0;
    while from < bytes.len() {
        let most = bytes.len().min(from + CHUNK_BYTES);
        let to = bytes[from..most]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(most, |feed| from + feed + 1);
        batches.push(Batch {
            sequence: batches.len() as u64,
            source: SourceId(0),
            name: Arc::clone(&name),
            facts: Arc::clone(&facts),
            position: from as u64,
            lines_before: 0,
            content: Content::Read(Chunk::new(bytes[from..to].to_vec(), to - from)),
            header_bytes: 0,
            cut_bytes: 0,
            context_bytes: 0,
            before: Vec::new(),
            mark: None,
        });
        from = to;
    }
    batches
}
