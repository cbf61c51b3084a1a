//! Times, levels and messages of real logs against what another program's own pipelines read from
//! them (`beats/*-expected.json` of the shared test data).

use super::tests::{clock, shared};
use super::*;

/// What differs by definition: the other side reads a zone's abbreviation as no zone (`CEST`), and
/// some of its layouts keep less or more of the head in the message.
struct Sums {
    times: usize,
    levels: usize,
    messages: usize,
    total: usize,
}

fn compare(path: &str, level_field: &str) -> Option<Sums> {
    let log = shared(path)?;
    let expected = shared(&format!("{path}-expected.json"))?;
    let expected: serde_json::Value = serde_json::from_str(&expected).expect("JSON");
    let mut clock = clock();
    let mut parser = Parser::new(&Wanted::default());
    let mut row = Row::new(0);
    let mut sums = Sums {
        times: 0,
        levels: 0,
        messages: 0,
        total: 0,
    };
    for record in expected.as_array().expect("an array") {
        let offset = record["log.offset"].as_u64().unwrap_or(0) as usize;
        let Some(line) = log.get(offset..).and_then(|rest| rest.lines().next()) else {
            continue;
        };
        row.reset();
        if !parser.parse(line.as_bytes(), &mut clock, &mut row) {
            // Some files hold lines without any head; they are `plain`'s.
            eprintln!("{path}: no head: {line}");
            continue;
        }
        sums.total += 1;
        let want: Option<jiff::Timestamp> = record["@timestamp"]
            .as_str()
            .and_then(|text| text.parse().ok());
        // The other side keeps milliseconds.
        let time = row.time.map(|time| time.0 / 1_000_000);
        if time == want.map(|want| want.as_millisecond()) {
            sums.times += 1;
        } else if sums.total < 6 {
            eprintln!(
                "{path}: time {:?} is not {want:?}: {line}",
                row.time.map(|time| time.to_string())
            );
        }
        let want = record[level_field]
            .as_str()
            .and_then(|level| level::from_word(level.as_bytes()));
        // MySQL's `[System]` is no level elsewhere.
        if record[level_field].is_null()
            || record[level_field] == "System" && row.level == Some(Level::Info)
            || row.level == want
            || record[level_field]
                .as_str()
                .is_some_and(|level| level.len() < 3)
        {
            sums.levels += 1;
        } else {
            eprintln!(
                "{path}: level {:?} is not {:?}: {line}",
                row.level, record[level_field]
            );
        }
        let want = record["message"]
            .as_str()
            .unwrap_or("")
            .lines()
            .next()
            .unwrap_or("")
            .trim();
        let got = String::from_utf8_lossy(row.bytes(line.as_bytes(), row.message)).into_owned();
        if got == want {
            sums.messages += 1;
        } else if sums.total < 4 {
            eprintln!("{path}: {got:?} is not {want:?}");
        }
    }
    Some(sums)
}

#[test]
fn agrees_with_other_pipelines() {
    for (path, times) in [
        ("beats/apache/error/darwin-2.4.23.log", true),
        ("beats/apache/error/test.log", true),
        ("beats/apache/error/ubuntu-2.2.22.log", true),
        (
            "beats/elasticsearch/deprecation/elasticsearch_deprecation.log",
            true,
        ),
        (
            "beats/elasticsearch/deprecation/other_elasticsearch_deprecation.log",
            true,
        ),
        ("beats/elasticsearch/server/elasticsearch.624.log", true),
        ("beats/elasticsearch/server/test.log", true),
        ("beats/icinga/main/test.log", true),
        ("beats/kafka/log/controller-2.0.0.log", true),
        ("beats/kafka/log/controller.log", true),
        ("beats/kafka/log/server-2.0.0.log", true),
        ("beats/kafka/log/server.log", true),
        ("beats/kafka/log/state-change-1.1.0.log", true),
        ("beats/kafka/log/state-change.log", true),
        ("beats/logstash/log/logstash-plain.log", true),
        ("beats/mongodb/log/mongodb-debian-3.2.11.log", true),
        ("beats/mysql/error/error.log", true),
        ("beats/mysql/error/mysql-darwin-brew-5.7.10.log", true),
        ("beats/mysql/error/mysql-ubuntu-5.5.53.log", true),
        ("beats/mysql/error/mysql-ubuntu-8.0.15.log", true),
        ("beats/postgresql/log/postgresql-11.4.log", true),
        (
            "beats/postgresql/log/postgresql-9.6-debian-with-slowlog.log",
            false,
        ),
        ("beats/postgresql/log/postgresql-9.6-multi-core.log", false),
        (
            "beats/postgresql/log/postgresql-9.6-new-timestamp.log",
            false,
        ),
        ("beats/postgresql/log/postgresql-ubuntu-9.5.log", false),
    ] {
        let Some(sums) = compare(path, "log.level") else {
            return;
        };
        eprintln!(
            "{path}: {} records, {} times, {} levels, {} messages equal",
            sums.total, sums.times, sums.levels, sums.messages
        );
        assert!(sums.total > 0, "{path}");
        assert!(!times || sums.times == sums.total, "{path}: times");
        assert_eq!(sums.levels, sums.total, "{path}: levels");
    }
}
