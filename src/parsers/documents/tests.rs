//! Documents against outside truth, and against the law of chunks.

use super::*;
use crate::flow::document::Document as _;
use proptest::prelude::*;

/// The lines that become of `text`, given in pieces of `step` bytes, and what is wrong with it; `None` if
/// it is no document.
fn pieces(text: &[u8], each: Option<&str>, step: usize) -> Option<(String, Option<String>)> {
    let asked = Asked {
        each: each.map(Into::into),
        ..Asked::default()
    };
    let mut document = match recognise(&text[..text.len().min(HEAD_BYTES_MAX)], &asked) {
        Verdict::Yes(document) => document,
        Verdict::No | Verdict::More => return None,
    };
    let mut lines = Vec::new();
    let mut problem = None;
    for piece in text.chunks(step) {
        if let Err(error) = document.feed(piece, &mut lines) {
            problem = Some(error);
        }
    }
    let problem = document.end(&mut lines).err().or(problem);
    Some((String::from_utf8(lines).unwrap(), problem))
}

fn lines(text: &str, each: Option<&str>) -> Option<(String, Option<String>)> {
    let whole = pieces(text.as_bytes(), each, usize::MAX);
    for step in [1, 2, 3, 7] {
        assert_eq!(
            whole,
            pieces(text.as_bytes(), each, step),
            "{step} bytes a piece: {text}"
        );
    }
    whole
}

#[track_caller]
fn check(text: &str, each: Option<&str>, want: &[&str]) {
    let (got, problem) = lines(text, each).expect("a document");
    let got: Vec<&str> = got.lines().collect();
    assert_eq!(got, want, "{text}");
    assert_eq!(problem, None, "{text}");
}

#[test]
fn lines_of_json_are_no_document() {
    for text in [
        "{\"a\":1}\n{\"a\":2}\n",
        "{\"results\":1}\n",
        "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n",
        "[ERROR] boom\n",
        "[2026-11-20 10:00:00] x\n",
        "[1, 2]\n",
        "[{'a': 1}]\n",
        "[]\n",
        "<34>1 2026-11-20T10:00:00Z x\n",
        "<root/>\n",
        "<?xml version=\"1.0\"?>\n<report/>\n",
        "plain\n",
    ] {
        assert_eq!(lines(text, None), None, "{text}");
    }
}

#[test]
fn an_array_gives_its_elements() {
    let want = [
        "{\"a\":\"x y\",\"b\":[1,{\"c\":2}]}",
        "{\"a\":\"\\\"]\"}",
        "7",
        "\"z\"",
    ];
    check(
        "[\n{\"a\": \"x y\", \"b\": [1, {\"c\": 2}]},\n{\"a\": \"\\\"]\"}, 7, \"z\"\n]\n",
        None,
        &want,
    );
    check(
        "[\n  {\n    \"a\": \"x y\",\n    \"b\": [\n      1,\n      {\"c\": 2}\n    ]\n  },\n  {\"a\":\n\"\\\"]\"}\n, 7,\"z\"]",
        None,
        &want,
    );
    check(
        "[{\"a\":1}]\ndone in 3 s\n",
        None,
        &["{\"a\":1}", "done in 3 s"],
    );
}

#[test]
fn what_is_cut_off_is_shown_and_named() {
    let (got, problem) = lines("[{\"a\":1},{\"b\":", None).unwrap();
    assert_eq!(got, "{\"a\":1}\n{\"b\":\n");
    assert!(problem.unwrap().contains("ends too early"));
}

#[test]
fn a_path_names_elements_and_what_stands_around_them_counts() {
    let document = "{\"host\":\"h\",\"n\":1,\"Results\":[{\"Target\":\"t\",\"host\":\"inner\",\"V\":[{\"id\":1},{\"id\":2,\"n\":9}]},{\"Target\":\"u\"},{\"V\":[],\"x\":[{}]}]}";
    check(
        document,
        Some("Results[].V[]"),
        &[
            "{\"id\":1,\"n\":1,\"Target\":\"t\",\"host\":\"inner\"}",
            "{\"id\":2,\"n\":9,\"Target\":\"t\",\"host\":\"inner\"}",
        ],
    );
    check(
        "{\"a\":[1]}\n{\"a\":[2],\"b\":3}\n",
        Some("a[]"),
        &["1", "{\"value\":2,\"b\":3}"],
    );
    check("[{\"a\":[{\"x\":1}]}]", Some("[].a[]"), &["{\"x\":1}"]);
    check("[{\"a\":[{\"x\":1}]}]", Some("a[]"), &["{\"x\":1}"]);
    let (_, problem) = lines("{\"a\":1}", Some("b[]")).unwrap();
    assert!(problem.unwrap().contains("\"b[]\""));
}

#[test]
fn knows_a_path_from_a_mistake() {
    assert_eq!(Path::problem("Results[].V[]"), None);
    assert_eq!(Path::problem("[]"), None);
    for text in ["", "Results", "a[0].b[]", "a[*]"] {
        assert!(Path::problem(text).is_some(), "{text}");
    }
}

#[test]
fn reports_of_scanners_give_their_findings() {
    check(
        "{\"SchemaVersion\": 2, \"ArtifactName\": \"img\", \"Results\": [{\"Target\": \"t\", \"Vulnerabilities\": [{\"VulnerabilityID\": \"CVE-1\", \"Severity\": \"HIGH\", \"Title\": \"bad\"}], \"Secrets\": [{\"RuleID\": \"key\", \"Title\": \"k\"}]}]}",
        None,
        &[
            "{\"VulnerabilityID\":\"CVE-1\",\"Severity\":\"HIGH\",\"Title\":\"bad\",\"message\":\"bad\",\"SchemaVersion\":2,\"ArtifactName\":\"img\",\"Target\":\"t\"}",
            "{\"RuleID\":\"key\",\"Title\":\"k\",\"message\":\"k\",\"SchemaVersion\":2,\"ArtifactName\":\"img\",\"Target\":\"t\"}",
        ],
    );
    check(
        "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{},\"results\":[{\"ruleId\":\"r\",\"level\":\"error\",\"message\":{\"text\":\"boom\"}}]}]}",
        None,
        &["{\"ruleId\":\"r\",\"level\":\"error\",\"message\":\"boom\",\"version\":\"2.1.0\"}"],
    );
    check(
        "{\"results\": [{\"check_id\": \"c\", \"extra\": {\"message\": \"m\", \"severity\": \"ERROR\"}}], \"errors\": []}",
        None,
        &[
            "{\"check_id\":\"c\",\"extra\":{\"message\":\"m\",\"severity\":\"ERROR\"},\"message\":\"m\",\"severity\":\"ERROR\"}",
        ],
    );
    check(
        "{\n \"matches\": [\n  {\n   \"vulnerability\": {\"id\": \"CVE-2\", \"severity\": \"Low\"},\n   \"artifact\": {\"name\": \"zlib\"}\n  }\n ],\n \"distro\": {}\n}\n",
        None,
        &[
            "{\"vulnerability\":{\"id\":\"CVE-2\",\"severity\":\"Low\"},\"artifact\":{\"name\":\"zlib\"},\"message\":\"CVE-2\",\"severity\":\"Low\",\"id\":\"CVE-2\",\"package\":\"zlib\"}",
        ],
    );
    check(
        "[{\"Target\":\"t\",\"Vulnerabilities\":[{\"VulnerabilityID\":\"CVE-3\"}]}]",
        None,
        &["{\"VulnerabilityID\":\"CVE-3\",\"message\":\"CVE-3\",\"Target\":\"t\"}"],
    );
}

#[test]
fn test_cases_of_junit_are_records() {
    let text = "<?xml version=\"1.0\"?>\n<!-- by x -->\n<testsuites>\n<testsuite name=\"s &amp; t\" timestamp=\"2026-11-20T10:00:00\">\n<testcase name=\"a\" classname=\"c.A\" time=\"0.5\"/>\n<testcase name=\"b\" classname=\"c.A\" time=\"1\"><failure message=\"want &lt;1&gt;\">at <![CDATA[x > y]]></failure></testcase>\n<testcase name=\"c\"><error>boom\nmore</error><system-out>no</system-out></testcase>\n<testcase name='d'><skipped/></testcase></testsuite>\n</testsuites>\n";
    let (got, problem) = lines(text, None).unwrap();
    assert_eq!(problem, None);
    let got: Vec<serde_json::Value> = got
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let want = serde_json::json!([
        {"message": "a passed", "suite": "s & t", "name": "a", "classname": "c.A", "status": "passed", "duration": "0.5s", "timestamp": "2026-11-20T10:00:00"},
        {"level": "error", "message": "b failed: want <1>", "suite": "s & t", "name": "b", "classname": "c.A", "status": "failed", "duration": "1s", "timestamp": "2026-11-20T10:00:00", "details": "at x > y"},
        {"level": "error", "message": "c error: boom", "suite": "s & t", "name": "c", "status": "error", "timestamp": "2026-11-20T10:00:00", "details": "boom\nmore"},
        {"message": "d skipped", "suite": "s & t", "name": "d", "status": "skipped", "timestamp": "2026-11-20T10:00:00"},
    ]);
    assert_eq!(serde_json::Value::from(got), want);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// The oracle: serde_json. However the array is written and cut, its elements are its elements.
    #[test]
    fn elements_are_those_of_serde_json(
        objects in prop::collection::vec(prop::collection::btree_map("[a-z\"\\\\{,]{1,5}", prop_oneof![any::<u8>().prop_map(|n| serde_json::json!(n)), "\\PC{0,6}".prop_map(|s| serde_json::json!({"x": [s]}))], 0..4), 1..5),
        pretty in any::<bool>(),
        step in 1usize..40,
    ) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&objects).unwrap(),
            false => serde_json::to_string(&objects).unwrap(),
        };
        let (got, problem) = pieces(text.as_bytes(), None, step).unwrap();
        prop_assert_eq!(problem, None);
        let got: Vec<serde_json::Value> = got.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(serde_json::Value::from(got), serde_json::to_value(&objects).unwrap());
    }

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(
        tokens in prop::collection::vec(prop::sample::select(&["[", "{", "}", "]", "\"", "\\", ",", ":", " ", "\n", "a", "1", "\"k\":", "{\"a\":", "<", ">", "<testsuite>", "</testsuite>", "<testcase name=\"x\">", "</testcase>", "<!--", "-->", "<![CDATA[", "]]>", "&amp;"][..]), 0..60),
        start in prop::sample::select(&["[{\"", "{\"SchemaVersion\":1,\"Results\":[", "<testsuite>", ""][..]),
        each in prop::option::of(Just("a[]")),
        step in 1usize..9,
    ) {
        let text = format!("{start}{}", tokens.concat());
        prop_assert_eq!(pieces(text.as_bytes(), each, usize::MAX), pieces(text.as_bytes(), each, step));
    }
}

/// The rows that become of a table, as JSON without the message.
fn rows(text: &str) -> Vec<serde_json::Value> {
    let read = |step: usize| {
        let mut columns = columns::Columns::new(true);
        let mut lines = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            columns.feed(piece, &mut lines).unwrap();
        }
        columns.end(&mut lines).unwrap();
        lines
    };
    let lines = read(usize::MAX);
    for step in [1, 2, 7] {
        assert_eq!(lines, read(step));
    }
    String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|line| {
            let mut row =
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| line.into());
            if let Some(row) = row.as_object_mut() {
                row.remove("message");
            }
            row
        })
        .collect()
}

#[test]
fn columns_under_a_header_are_fields() {
    let check = |text: &str, want: serde_json::Value| {
        assert_eq!(serde_json::Value::from(rows(text)), want, "{text}");
        assert_eq!(columns::is_known(text.as_bytes()), Some(true), "{text}");
    };
    check(
        "Filesystem     1024-blocks     Used Available Capacity Mounted on\n/dev/sda1         61255492 50000000  11255492      82% /my disk\n",
        serde_json::json!([{"filesystem": "/dev/sda1", "1024_blocks": 61255492, "used": 50000000, "available": 11255492, "capacity": "82%", "mounted_on": "/my disk"}]),
    );
    check(
        "procs -----------memory---------- ---swap--\n r  b   swpd   free\n 1  0      0 123456\n r  b   swpd   free\n 2  0      0 123450\n",
        serde_json::json!(["procs -----------memory---------- ---swap--", {"r": 1, "b": 0, "swpd": 0, "free": 123456}, {"r": 2, "b": 0, "swpd": 0, "free": 123450}]),
    );
    check(
        "USER         PID %CPU %MEM COMMAND\nroot           1  0.5  1.0 /sbin/init splash\n",
        serde_json::json!([{"user": "root", "pid": 1, "cpu": "0.5%", "mem": "1.0%", "command": "/sbin/init splash"}]),
    );
    check(
        "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT\n0a1b2c3d4e5f   shop-db   12.50%    120MiB / 2GiB\n",
        serde_json::json!([{"container_id": "0a1b2c3d4e5f", "name": "shop-db", "cpu": "12.50%", "mem_usage_limit": "120MiB / 2GiB"}]),
    );
    check(
        "CONTAINER ID   IMAGE     STATUS         PORTS     NAMES\n0a1b2c3d4e5f   redis     Up 2 minutes             cache\n",
        serde_json::json!([{"container_id": "0a1b2c3d4e5f", "image": "redis", "status": "Up 2 minutes", "names": "cache"}]),
    );
    check(
        "NAME      READY   STATUS             RESTARTS      AGE\nshop-1    0/1     CrashLoopBackOff   7 (2m ago)    3h\n",
        serde_json::json!([{"name": "shop-1", "ready": "0/1", "status": "CrashLoopBackOff", "restarts": "7 (2m ago)", "age": "3h"}]),
    );
    check(
        "              total        used        free\nMem:       16000000     8000000     4000000\nSwap:       2000000           0\n",
        serde_json::json!([{"name": "Mem", "total": 16000000, "used": 8000000, "free": 4000000}, {"name": "Swap", "total": 2000000, "used": 0}]),
    );
    check(
        "Linux 6.1.0 (web-1)\n\n10:00:01 AM     CPU     %user     %idle\n10:00:02 AM     all      7.50     90.00\n",
        serde_json::json!(["Linux 6.1.0 (web-1)", {"time": "10:00:02 AM", "cpu": "all", "user": "7.50%", "idle": "90.00%"}]),
    );
}

#[test]
fn lines_of_a_log_are_no_columns() {
    for text in [
        "2026-11-20 10:00:00 INFO PID 17 started\n",
        "NAME is missing\n",
        "plain words\n",
        "{\"a\":1}\n",
        "PID file exists\n",
        "10:00:01 [main] INFO x\n",
    ] {
        assert_eq!(columns::is_known(text.as_bytes()), Some(false), "{text}");
    }
}
