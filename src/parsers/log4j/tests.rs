use super::*;
use crate::flow::facts::Facts;
use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::flow::wanted::Path;
use crate::parsers::start;
use std::path::PathBuf;

pub fn clock() -> Clock {
    // 2024-03-02T00:00:00Z
    Clock::new(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(1_709_337_600 * Time::SECOND),
        format: None,
        csv: None,
    })
}

/// A file of the shared test data, or `None` with a note where the data is not there.
pub fn shared(path: &str) -> Option<String> {
    let root = std::env::var_os("WEIR_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    let file = root.join(path);
    match std::fs::read(&file) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: no {}\n", file.display()),
            );
            None
        }
    }
}

#[test]
fn reads_layouts() {
    let cases: &[(&str, &str, Option<Level>, &str)] = &[
        (
            "03-17 16:13:38.811  1702  2395 D WindowManager: printFreezingDisplayLogs",
            "2023-03-17T16:13:38.811Z",
            Some(Level::Debug),
            "printFreezingDisplayLogs",
        ),
        (
            "- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL INFO instruction cache parity error corrected",
            "2005-06-03T22:42:50Z",
            Some(Level::Info),
            "instruction cache parity error corrected",
        ),
        (
            "APPREAD 1117869872 2005.06.04 R23-M1-N8-I:J18-U11 2005-06-04-00.24.32.398284 R23-M1-N8-I:J18-U11 RAS APP FATAL ciod: failed to read message prefix",
            "2005-06-04T07:24:32Z",
            Some(Level::Fatal),
            "ciod: failed to read message prefix",
        ),
        (
            "134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component State Change: down",
            "2004-02-26T14:12:22Z",
            None,
            "Component State Change: down",
        ),
        (
            "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579",
            "2017-12-23T22:15:29.606Z",
            None,
            "onStandStepChanged 3579",
        ),
        (
            "[10.30 16:49:06] chrome.exe - proxy.cse.cuhk.edu.hk:5070 open through proxy",
            "2023-10-30T16:49:06Z",
            None,
            "proxy.cse.cuhk.edu.hk:5070 open through proxy",
        ),
        (
            "2016-09-28 04:30:30, Info                  CBS    Loaded Servicing Stack v6.1",
            "2016-09-28T04:30:30Z",
            Some(Level::Info),
            "Loaded Servicing Stack v6.1",
        ),
        (
            "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root",
            "2005-11-09T20:01:01Z",
            None,
            "session closed for user root",
        ),
        (
            "2024-03-01 10:00:00.123  INFO 12345 --- [           main] c.e.DemoApplication   : Starting Demo",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Info),
            "Starting Demo",
        ),
        (
            "2024-03-01T10:00:00.123Z  WARN 1 --- [app] [nio-8080-exec-1] c.e.Foo : Bar",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Warn),
            "Bar",
        ),
        (
            "14:23:01.123 [main] INFO  com.foo.Bar - hello",
            "none",
            Some(Level::Info),
            "hello",
        ),
        (
            "2024-03-01 10:00:00,123 - my.logger - ERROR - it broke",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Error),
            "it broke",
        ),
        (
            "2024-03-01 10:00:00,123 - root - INFO - hello: you",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Info),
            "hello: you",
        ),
        (
            "2024-03-01 10:00:00.123 | INFO     | app.main:run:12 - started",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Info),
            "started",
        ),
        (
            "[2024-03-01 10:00:00,123: WARNING/MainProcess] celery says",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Warn),
            "celery says",
        ),
        ("WARNING:root:careful", "none", Some(Level::Warn), "careful"),
        (
            "[INFO] Building foo 1.0",
            "none",
            Some(Level::Info),
            "Building foo 1.0",
        ),
        (
            "INFO 2024-03-01 10:00:00,123 module started",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Info),
            "module started",
        ),
        (
            "I, [2024-03-01T10:00:00.123456 #1234]  INFO -- : Started GET",
            "2024-03-01T10:00:00.123456Z",
            Some(Level::Info),
            "Started GET",
        ),
        (
            "2024/03/01 10:00:00 [error] 1234#0: *5 open() \"/x\" failed",
            "2024-03-01T10:00:00Z",
            Some(Level::Error),
            "open() \"/x\" failed",
        ),
        (
            "2024/03/01 10:00:00 main.go:23: starting",
            "2024-03-01T10:00:00Z",
            None,
            "starting",
        ),
        (
            "2024/03/01 10:00:00 http: panic serving",
            "2024-03-01T10:00:00Z",
            None,
            "http: panic serving",
        ),
        (
            "2024-03-01T10:00:00.1234567Z ##[error]Process completed with exit code 1.",
            "2024-03-01T10:00:00.1234567Z",
            Some(Level::Error),
            "Process completed with exit code 1.",
        ),
        (
            "2024-03-01T10:00:00.1234567Z ##[group]Run make",
            "2024-03-01T10:00:00.1234567Z",
            None,
            "Run make",
        ),
        (
            "1234:M 01 Mar 2024 10:00:00.123 * Ready to accept connections",
            "2024-03-01T10:00:00.123Z",
            Some(Level::Info),
            "Ready to accept connections",
        ),
        (
            "2018-02-05T13:44:56.657+0100 I CONTROL  [initandlisten] modules: none",
            "2018-02-05T12:44:56.657Z",
            Some(Level::Info),
            "modules: none",
        ),
        (
            "2017-04-03 22:32:14.322 CEST [5404-1] postgres@user FATAL:  database \"user\" does not exist",
            "2017-04-03T20:32:14.322Z",
            Some(Level::Fatal),
            "database \"user\" does not exist",
        ),
        (
            "2016-12-09T12:08:33.335060Z 0 [Warning] TIMESTAMP is",
            "2016-12-09T12:08:33.335060Z",
            Some(Level::Warn),
            "TIMESTAMP is",
        ),
        (
            "161209 14:18:50 InnoDB: Mutexes",
            "2016-12-09T14:18:50Z",
            None,
            "InnoDB: Mutexes",
        ),
        (
            "[2018-05-17T08:19:35,939][INFO ][o.e.n.Node               ] [] initializing ...",
            "2018-05-17T08:19:35.939Z",
            Some(Level::Info),
            "initializing ...",
        ),
        (
            "[2017-08-04 10:48:21,063] INFO [Controller 0]: 0 successfully elected",
            "2017-08-04T10:48:21.063Z",
            Some(Level::Info),
            "0 successfully elected",
        ),
        (
            "[2017-04-04 11:16:34 +0200] warning/PluginNotificationTask: Notification",
            "2017-04-04T09:16:34Z",
            Some(Level::Warn),
            "Notification",
        ),
        (
            "[Thu Jun 27 06:58:09.169510 2019] [include:warn] [pid 15934] [client 1.2.3.4:5] AH01374: x",
            "2019-06-27T06:58:09.169510Z",
            Some(Level::Warn),
            "[client 1.2.3.4:5] AH01374: x",
        ),
        (
            "2015-04-24T21:09:29.296 25376]INFO:somemodule:Something very INFOrmative.",
            "2015-04-24T21:09:29.296Z",
            Some(Level::Info),
            "Something very INFOrmative.",
        ),
        (
            "2012-07-02 10:22:40,672:DEBUG:foo bar baz",
            "2012-07-02T10:22:40.672Z",
            Some(Level::Debug),
            "foo bar baz",
        ),
        (
            "2016-06-30 12:00:03 debug2 debug2message",
            "2016-06-30T12:00:03Z",
            Some(Level::Debug),
            "debug2message",
        ),
        (
            "2016-06-30 12:00:08 invalid invalidmessage",
            "2016-06-30T12:00:08Z",
            None,
            "invalid invalidmessage",
        ),
        (
            "2025-01-24T07:00:30,139 INFO [background-preinit       ] Version                  : HV000001: Hibernate",
            "2025-01-24T07:00:30.139Z",
            Some(Level::Info),
            "HV000001: Hibernate",
        ),
        (
            "\u{1b}[2m2024-03-01T10:00:00.123456Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m \u{1b}[2mmy_crate::web\u{1b}[0m: listening",
            "2024-03-01T10:00:00.123456Z",
            Some(Level::Info),
            "my_crate::web\u{1b}[0m: listening",
        ),
        (
            "2024-03-01T10:00:00.123456Z  INFO my_crate::web: listening port=80",
            "2024-03-01T10:00:00.123456Z",
            Some(Level::Info),
            "listening port=80",
        ),
        (
            "2024-03-01T10:00:00.000Z\tINFO\tctrl\tmain.go:12\tstarting\t{\"a\": 1}",
            "2024-03-01T10:00:00Z",
            Some(Level::Info),
            "starting\t{\"a\": 1}",
        ),
        (
            "1428634687123 Hello, World!",
            "2015-04-10T02:58:07.123Z",
            None,
            "Hello, World!",
        ),
        (
            "2024-03-01 10:00:00 0 errors found",
            "2024-03-01T10:00:00Z",
            None,
            "0 errors found",
        ),
        (
            "2024-03-01 10:00:00 I am in error",
            "2024-03-01T10:00:00Z",
            None,
            "I am in error",
        ),
        (
            "2024-03-01 10:00:00 config reloaded",
            "2024-03-01T10:00:00Z",
            None,
            "config reloaded",
        ),
        (
            "2024-03-01 10:00:00 could not read: ERROR of disk",
            "2024-03-01T10:00:00Z",
            Some(Level::Error),
            "could not read: ERROR of disk",
        ),
        (
            "2024-02-30 10:00:00 ERROR no such day",
            "none",
            Some(Level::Error),
            "no such day",
        ),
        (
            "2024-03-01 10:00:00 ERROR a.B: x\njava.io.IOException: y\n\tat z",
            "2024-03-01T10:00:00Z",
            Some(Level::Error),
            "x\njava.io.IOException: y\n\tat z",
        ),
        ("2024-03-01 10:00:00", "2024-03-01T10:00:00Z", None, ""),
        (
            "2024-03-01 10:00:00 ERROR",
            "2024-03-01T10:00:00Z",
            Some(Level::Error),
            "",
        ),
    ];
    let mut clock = clock();
    let mut parser = Parser::new(&Wanted::default());
    let mut row = Row::new(0);
    let mut wrong = String::new();
    for (record, time, level, message) in cases {
        row.reset();
        let taken = parser.parse(record.as_bytes(), &mut clock, &mut row);
        let want = (
            true,
            if *time == "none" { None } else { Some(*time) }.map(|time| {
                time.parse::<jiff::Timestamp>()
                    .expect("a timestamp")
                    .to_string()
            }),
            *level,
            message.to_string(),
        );
        let got = (
            taken,
            row.time.map(|time| time.to_string()),
            row.level,
            String::from_utf8_lossy(row.bytes(record.as_bytes(), row.message)).into_owned(),
        );
        if got != want {
            wrong += &format!("{record}\n  got  {got:?}\n  want {want:?}\n");
        }
        if !start::is_hard_start(record.as_bytes()) && !record.starts_with("134681") {
            wrong += &format!("no hard start: {record}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn leaves_text_without_a_head() {
    let mut parser = Parser::new(&Wanted::default());
    for record in [
        "",
        " ",
        "Hello, World!",
        "\tat a.B(C.java:1)",
        "12:30 is noon",
        "123456789 x",
        "Error: x",
        "{\"a\":1}",
        "[main] x",
        "at 10:00",
        "1.2.3.4 - - x",
        "[",
        "ERRORS: x",
        "-",
    ] {
        assert!(
            !parser.parse(record.as_bytes(), &mut clock(), &mut Row::new(0)),
            "{record}"
        );
    }
}

#[test]
fn agrees_with_the_ground_truth() {
    let paths = ["pid", "logger"].map(Path::new).to_vec();
    let mut parser = Parser::new(&Wanted {
        paths,
        ..Wanted::default()
    });
    let mut row = Row::new(2);
    for system in [
        "Apache",
        "HDFS",
        "Hadoop",
        "OpenStack",
        "Spark",
        "Zookeeper",
    ] {
        let Some(log) = shared(&format!("loghub/{system}/{system}_2k.log")) else {
            return;
        };
        let truth = shared(&format!("loghub/{system}/{system}_2k.log_structured.csv"))
            .expect("the truth beside the log");
        let mut truth = csv::Reader::from_reader(truth.as_bytes());
        let columns = truth.headers().expect("a header").clone();
        let column = |name: &str| columns.iter().position(|column| column == name);
        let (content, level) = (
            column("Content").expect("a column"),
            column("Level").expect("a column"),
        );
        let mut clock = clock();
        let (mut equal, mut total, mut shown) = (0, 0, 0);
        for (line, truth) in log.lines().zip(truth.records()) {
            let truth = truth.expect("a record");
            row.reset();
            assert!(
                parser.parse(line.as_bytes(), &mut clock, &mut row),
                "{line}"
            );
            let want = match &truth[level] {
                "notice" => Level::Info,
                "WARNING" => Level::Warn,
                "severe" => Level::Error,
                name => *Level::ALL
                    .iter()
                    .find(|level| level.name().eq_ignore_ascii_case(name))
                    .expect("a level"),
            };
            assert_eq!(row.level, Some(want), "{line}");
            assert!(row.time.is_some(), "{line}");
            total += 1;
            let got = String::from_utf8_lossy(row.bytes(line.as_bytes(), row.message)).into_owned();
            if got == truth[content].trim() {
                equal += 1;
            } else if shown < 4 {
                shown += 1;
                eprintln!("{system}: {got:?} is not {:?}", &truth[content]);
            }
        }
        eprintln!("{system}: {equal} of {total} messages equal the truth");
        assert!(equal * 1000 >= total * 999, "{system}: {equal} of {total}");
    }
}

/// A message that nobody lists is left out, and nothing else changes.
#[test]
fn a_brief_reading_loses_only_the_message() {
    let lines = [
        "2024-03-01 00:00:00,123 INFO [main] a.B: took cpu=12 ms",
        "2024-03-01 00:00:00,123 INFO [main] a.B: nothing to see",
        "2024-03-01 00:00:00,123 - WARN  [x=1:Y@7] - latency_ms=3",
        "INFO 2024-03-01 00:00:00,123 size=10KB done",
        "17/06/09 20:10:40 INFO storage.Store: free=3.5GB, used = 7",
        "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok elapsed=5",
        "[Sun Dec 04 04:47:44 2005] [error] mod_jk child",
    ];
    let full = Wanted {
        time: true,
        level: true,
        message: true,
        numbers: true,
        ..Wanted::default()
    };
    let brief = Wanted {
        message_from: Some(Level::Warn),
        ..full.clone()
    };
    let facts = Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(0),
        format: None,
        csv: None,
    };
    for line in lines {
        let read = |wanted: &Wanted| {
            let mut row = Row::new(0);
            let mut clock = Clock::new(&facts);
            assert!(Parser::new(wanted).parse(line.as_bytes(), &mut clock, &mut row));
            let bytes = |text| row.bytes(line.as_bytes(), text).to_vec();
            let numbers: Vec<_> = row
                .numbers
                .iter()
                .map(|field| (bytes(field.name), bytes(field.value.text)))
                .collect();
            (row.time, row.level, numbers, bytes(row.message))
        };
        let (whole, short) = (read(&full), read(&brief));
        assert_eq!(
            (whole.0, whole.1, &whole.2),
            (short.0, short.1, &short.2),
            "{line}"
        );
        if whole.1 >= Some(Level::Warn) {
            assert_eq!(whole.3, short.3, "{line}");
        }
    }
}
