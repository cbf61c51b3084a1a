use super::*;
use crate::parsers::syslog::Parser;

fn read(record: &[u8]) -> Option<Read> {
    let mut row = Row::new(0);
    Parser::new(&everything())
        .parse(record, &mut clock(), &mut row)
        .then(|| Read::of(record, &row))
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(
        || {
            if value.is_null() {
                String::new()
            } else {
                value.to_string()
            }
        },
        str::to_owned,
    )
}

const NAMES: [(&str, &str); 6] = [
    ("facility", "facility"),
    ("severity", "severity"),
    ("host", "hostname"),
    ("app", "appname"),
    ("pid", "procid"),
    ("msgid", "msgid"),
];

#[test]
fn agrees_with_the_vectors_of_rfc_5424() {
    let mut score = Score::default();
    for (at, case) in json_lines("syslog/rfc5424_cases.jsonl").iter().enumerate() {
        let Some(input) = case["input"].as_str() else {
            continue;
        };
        let place = format!("case {}", at + 1);
        let read = read(input.as_bytes());
        if case["valid"] == false {
            score.compare(&place, input, &format!("{}", read.is_some()), "false");
            continue;
        }
        let (read, want) = (
            read.unwrap_or_else(|| panic!("not read: {input}")),
            &case["expected"],
        );
        for (field, key) in NAMES {
            score.compare(&place, field, read.field(field), &text(&want[key]));
        }
        score.compare(&place, "message", &read.message, &text(&want["message"]));
        let stamp = want["timestamp"].as_str().map(time);
        score.compare(
            &place,
            "time",
            &format!("{:?}", read.time),
            &format!("{stamp:?}"),
        );
        let mut data = BTreeMap::new();
        for (id, parameters) in want["structured_data_raw"]
            .as_object()
            .into_iter()
            .flatten()
        {
            for (name, value) in parameters.as_object().unwrap() {
                // The vectors keep the escapes; the field is what they stand for.
                let value = value
                    .as_str()
                    .unwrap()
                    .replace("\\\\", "\u{0}")
                    .replace("\\\"", "\"")
                    .replace("\\]", "]")
                    .replace('\u{0}', "\\");
                data.insert(format!("sd.{id}.{name}"), value);
            }
        }
        let read_data: BTreeMap<String, String> = read
            .fields
            .into_iter()
            .filter(|(name, _)| name.starts_with("sd."))
            .collect();
        score.compare(
            &place,
            "structured data",
            &format!("{read_data:?}"),
            &format!("{data:?}"),
        );
    }
    score.check("rfc 5424", &[]);
}

#[test]
fn agrees_with_the_vectors_of_rfc_3164() {
    let mut score = Score::default();
    for (at, case) in json_lines("syslog/rfc3164_cases.jsonl").iter().enumerate() {
        let input = case["input"].as_str().unwrap();
        let (read, want) = (
            read(input.as_bytes()).unwrap_or_else(|| panic!("not read: {input}")),
            &case["expected"],
        );
        for (field, key) in NAMES {
            score.compare(
                &format!("case {}", at + 1),
                field,
                read.field(field),
                &text(&want[key]),
            );
        }
        score.compare(
            &format!("case {}", at + 1),
            "message",
            &read.message,
            &text(&want["message"]),
        );
    }
    score.check("rfc 3164", &[]);
}

#[test]
fn agrees_with_the_content_of_loghub() {
    for (system, pid) in [("Linux", "PID"), ("OpenSSH", "Pid")] {
        let Some(log) = data(&format!("loghub/{system}/{system}_2k.log")) else {
            return;
        };
        let truth = data(&format!("loghub/{system}/{system}_2k.log_structured.csv")).unwrap();
        let mut table = ::csv::Reader::from_reader(&truth[..]);
        let headers = table.headers().unwrap().clone();
        let column = |name: &str| headers.iter().position(|header| header == name);
        let (content, pid) = (column("Content").unwrap(), column(pid).unwrap());
        let mut score = Score::default();
        for (at, (line, truth)) in lines(&log).into_iter().zip(table.records()).enumerate() {
            let truth = truth.unwrap();
            let read = read(line).unwrap_or_else(|| panic!("not read: {}", line.escape_ascii()));
            let place = format!("{system}:{}", at + 1);
            score.compare(&place, "message", &read.message, truth[content].trim());
            score.compare(&place, "pid", read.field("pid"), &truth[pid]);
            let host = if system == "Linux" {
                &truth[column("Level").unwrap()]
            } else {
                &truth[column("Component").unwrap()]
            };
            score.compare(&place, "host", read.field("host"), host);
            if system == "Linux" {
                score.compare(
                    &place,
                    "app",
                    read.field("app"),
                    &truth[column("Component").unwrap()],
                );
            }
        }
        let version = "the truth counts a version to the name: syslogd 1.4.1";
        let explained = [
            "Linux:146 app",
            "Linux:374 app",
            "Linux:714 app",
            "Linux:1086 app",
            "Linux:1364 app",
            "Linux:1754 app",
            "Linux:1908 app",
        ]
        .map(|line| (line, version));
        score.check(system, if system == "Linux" { &explained } else { &[] });
    }
}

#[test]
fn agrees_with_beats() {
    let mut score = Score::default();
    for file in [
        "darwin-syslog",
        "darwin-syslog-sample",
        "suse-syslog",
        "tz-offset",
    ] {
        let Some(log) = data(&format!("beats/system/syslog/{file}.log")) else {
            return;
        };
        let documents = json(&format!("beats/system/syslog/{file}.log-expected.json")).unwrap();
        let documents = documents.as_array().unwrap();
        let offset = |at: usize| {
            documents
                .get(at)
                .map(|document| document["log.offset"].as_u64().unwrap() as usize)
        };
        for (at, want) in documents.iter().enumerate() {
            let start = offset(at).unwrap();
            // The last of a hundred has no next one: it is one line.
            let end = offset(at + 1).unwrap_or_else(|| {
                start
                    + log[start..]
                        .iter()
                        .position(|byte| *byte == b'\n')
                        .unwrap_or(log.len() - start)
            });
            let record = log[start..end].trim_ascii_end();
            let place = format!("{file}:{}", at + 1);
            let Some(read) = read(record) else {
                score
                    .differences
                    .push(format!("{place} is not read: {}", record.escape_ascii()));
                continue;
            };
            for (field, key) in [
                ("host", "host.hostname"),
                ("app", "process.name"),
                ("pid", "process.pid"),
            ] {
                score.compare(&place, field, read.field(field), &text(&want[key]));
            }
            score.compare(&place, "message", &read.message, &text(&want["message"]));
        }
    }
    score.check(
        "beats syslog",
        &[
            (
                " app: \"com.apple.xpc.launchd\" for \"com.apple.xpc.launchd[1] (",
                "the service that launchd speaks of is no part of its name",
            ),
            (" pid: \"1\" for \"\"", "so the process is found, too"),
        ],
    );
}

fn check(record: &str, want: [&str; 5]) {
    let read = read(record.as_bytes()).unwrap_or_else(|| panic!("not read: {record}"));
    assert_eq!(
        [
            read.field("host"),
            read.field("app"),
            read.field("pid"),
            read.field("severity"),
            &read.message
        ],
        want,
        "{record}"
    );
}

#[test]
fn reads_what_daemons_write() {
    check(
        "Jul  1 09:00:55 calvisitor-10-105-160-95 kernel[0]: IOThunderboltSwitch<0>(0x0)::listenerCallback - x",
        [
            "calvisitor-10-105-160-95",
            "kernel",
            "0",
            "",
            "IOThunderboltSwitch<0>(0x0)::listenerCallback - x",
        ],
    );
    check(
        "Jul  1 09:01:05 authorMacBook-Pro com.apple.cts[258]: com.apple.EscrowSecurityAlert.daily: scheduler",
        [
            "authorMacBook-Pro",
            "com.apple.cts",
            "258",
            "",
            "com.apple.EscrowSecurityAlert.daily: scheduler",
        ],
    );
    check(
        "Jul  1 09:01:05 mac com.apple.xpc.launchd[1] (com.apple.quicklook[25896]): Endpoint has",
        ["mac", "com.apple.xpc.launchd", "1", "", "Endpoint has"],
    );
    check(
        "Dec 13 12:09:57 mac Google Chrome[85294]: objc[85294]: __weak",
        ["mac", "Google Chrome", "85294", "", "objc[85294]: __weak"],
    );
    check(
        "Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root",
        [
            "dn228/dn228",
            "crond(pam_unix)",
            "2915",
            "",
            "session closed for user root",
        ],
    );
    check(
        "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: session closed",
        ["dn228/dn228", "crond", "2915", "", "session closed"],
    );
    check(
        "Mar  1 00:00:00 host last message repeated 2 times",
        ["host", "", "", "", "last message repeated 2 times"],
    );
    check(
        "Apr 4 03:39:57 --- last message repeated 1 time ---",
        ["", "", "", "", "--- last message repeated 1 time ---"],
    );
    check(
        "Jun 19 04:09:11 combo syslogd 1.4.1: restart.",
        ["combo", "syslogd", "", "", "restart."],
    );
    check(
        "Mar 16 00:01:25 evita postfix/smtpd[1713]: connect from x[1.2.3.4]",
        [
            "evita",
            "postfix/smtpd",
            "1713",
            "",
            "connect from x[1.2.3.4]",
        ],
    );
    check(
        "Mar  1 2024 00:00:00 asa %ASA-6-302013: Built",
        ["asa", "%ASA-6-302013", "", "", "Built"],
    );
    check(
        "<14>Jun 24 10:32:02 win-host WinFileService Event: read, Path: x",
        [
            "win-host",
            "",
            "",
            "6",
            "WinFileService Event: read, Path: x",
        ],
    );
    check(
        "<13>Jan  1 00:00:00 app[1]: hi",
        ["", "app", "1", "5", "hi"],
    );
    check("<13>app[1]: hi", ["", "app", "1", "5", "hi"]);
    check(
        "<6>[   12.345678] usb 1-1: new device",
        ["", "", "", "6", "[   12.345678] usb 1-1: new device"],
    );
    check(
        "<34>2003-10-11T22:14:15.003Z host su: failed",
        ["host", "su", "", "2", "failed"],
    );
    check(
        "2024-03-01T00:00:00.123456+01:00 host kernel: [ 1.0] up",
        ["host", "kernel", "", "", "[ 1.0] up"],
    );
    check(
        "2024-03-01T00:00:00+0000 host kernel: up",
        ["host", "kernel", "", "", "up"],
    );
}

#[test]
fn leaves_other_lines_alone() {
    for line in [
        "",
        "<",
        "<192>app: x",
        "<1> x",
        "Mar  1 00:00:00 nothing here that names an application",
        "Mar 32 00:00:00 host app: x",
        "Mar  1 24:00:00 host app: x",
        "May the force be with you: always",
        "2024-03-01T00:00:00Z INFO main: started",
        "2024-03-01T00:00:00.123456Z  INFO app: started",
        "2024-03-01T00:00:00Z server started: port 80",
        "2024-03-01T00:00:00.0000000Z Download action: x",
        "2016-10-06T00:17:09.669794202Z stdout F app[1]: message",
        "2024-03-01 00:00:00,000 WARN [main] a.b.C: x",
        // A colon before the first word once cut past the end of the tag.
        "Nov 20 10:00:04 fw1 :",
    ] {
        assert!(read(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn hands_out_only_what_is_wanted() {
    let record = b"<29>2 2016-01-15T01:00:44Z host app prg - [a.b c.d=\"\\]\" size=\"3\"] text";
    let wanted = Wanted {
        paths: ["sd.a.b.c.d", "host", "nope"]
            .map(crate::flow::wanted::Path::new)
            .to_vec(),
        numbers: true,
        ..Wanted::default()
    };
    let mut row = Row::new(3);
    assert!(Parser::new(&wanted).parse(record, &mut clock(), &mut row));
    let texts: Vec<&[u8]> = row
        .values
        .iter()
        .map(|value| row.bytes(record, value.text))
        .collect();
    assert_eq!(texts, [&b"]"[..], b"host", b""]);
    assert_eq!(row.values[2].kind, Kind::Missing);
    assert_eq!(
        row.numbers
            .iter()
            .map(|field| row.bytes(record, field.name))
            .collect::<Vec<_>>(),
        [b"sd.a.b.size"]
    );
    assert!(row.fields.is_empty() && row.time.is_none() && row.level.is_none());
}
