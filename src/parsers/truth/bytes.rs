use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::flow::row::{Text, Value};
use crate::flow::wanted::Path;
use crate::parsers::{access, csv, klog, log4j, logfmt, syslog};

/// Real lines of every kind, to mutate.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut seeds: Vec<Vec<u8>> = [
        "10.0.0.1, ::1 - bob [10/Oct/2000:13:55:36 -0700] \"GET /a?b HTTP/1.1\" 404 12 \"-\" \"curl \\\" x\" \"-\" 0.055 12",
        "[10/Aug/2018:09:45:56 +0200] 172.30.0.119 TLSv1.2 ECDHE \"GET / HTTP/1.1\" 1375",
        "<29>2 2016-01-15T01:00:44.123Z host app prg id [meta escape=\"\\]\" b=\"\"][x] some \"mex\"",
        "<34>Aug  7 06:30:00 xxx aaa[12]: message error: from 1.2.3.4",
        "Dec 13 12:09:57 mac Google Chrome[85294]: objc[85294]: __weak",
        "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: session closed",
        "2024-03-01T00:00:00.123456+01:00 host kernel: [ 1.0] up",
        "ts=2024-03-01T00:00:00Z level=warn msg=\"a \\\"b\\\" \\u00e9\" took=3ms k= d",
        "2024-03-01T00:00:00Z,warn,\"a \"\"b\"\"\",3",
        "2018-01-01 08:09:10 127.0.0.1 \"GET \"\" /\" 200",
        "2024-03-01 00:00:00,000 WARN [LeaseRenewer:a@b:9000] org.apache.hadoop.LeaseRenewer: took=3",
        "240301 000000 5832 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block x",
        "[Fri Mar 01 00:00:00 2024] [error] mod_jk child workerEnv in error state 6",
        "a-api.log.1 2024-03-01 00:00:00.003 25746 INFO nova.wsgi.server [req-1 2 3 - - -] x cpu=5",
        "2024-03-01 00:00:00,004 - INFO  [/10.0.0.1:3888:Listener@493] - Received",
        "24/03/01 00:00:00 INFO python.PythonRunner: Times: total = 40",
        "I0517 15:04:22.619632 1234 file.cc:253] message",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    for file in [
        "beats/nginx/access/test.log",
        "syslog/rfc5424_valid.log",
        "lnav/logfile_logfmt.0",
        "lnav/logfile_haproxy.0",
        "mtail/lighttpd_access.log",
    ] {
        seeds.extend(
            lines(&data(file).unwrap_or_default())
                .into_iter()
                .map(<[u8]>::to_vec),
        );
    }
    seeds
});

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        prop::sample::select(b"\0\n \t\"\\[]<>=:,;-/.#09aA\xff".to_vec()),
        0..3u8,
    );
    (
        any::<prop::sample::Index>(),
        proptest::collection::vec(edit, 0..6),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(seed, edits, cut)| {
            let mut line = seed.get(&SEEDS).clone();
            for (at, byte, kind) in edits {
                if line.is_empty() {
                    break;
                }
                let at = at.index(line.len());
                match kind {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    _ => drop(line.remove(at)),
                }
            }
            if cut.index(4) == 0 {
                line.truncate(cut.index(line.len() + 1));
            }
            line
        })
}

/// Every text of the row lies within its bytes.
fn stay_in_bounds(record: &[u8], row: &Row) {
    let look = |text: Text| assert!(row.bytes(record, text).len() == text.len());
    look(row.message);
    row.values.iter().for_each(|value: &Value| look(value.text));
    for field in row.fields.iter().chain(&row.numbers) {
        look(field.name);
        look(field.value.text);
    }
}

/// Reads `record` with every parser, once wanting all, once a little, once nothing: the answer has
/// to be the same, and a parser that has read other records before has to agree with a new one.
fn check(record: &[u8], before: &[u8]) {
    let headers = [
        csv::header(b"time,level,message,took").unwrap(),
        csv::header(b"#Fields: date time c-ip cs-uri-stem sc-status").unwrap(),
    ];
    let little = Wanted {
        paths: ["host", "status", "took", "sd.meta.escape"]
            .map(Path::new)
            .to_vec(),
        numbers: true,
        ..Wanted::default()
    };
    let mut answers: Vec<[bool; 7]> = Vec::new();
    for wanted in [everything(), little, Wanted::default()] {
        let new_row = || Row::new(wanted.paths.len());
        let mut clock = clock();
        let (mut access, mut syslog, mut logfmt, mut csv, mut klog, mut log4j) = (
            access::Parser::new(&wanted),
            syslog::Parser::new(&wanted),
            logfmt::Parser::new(&wanted),
            csv::Parser::new(&wanted),
            klog::Parser::new(&wanted),
            log4j::Parser::new(&wanted),
        );
        let mut all = |record: &[u8]| {
            let mut rows = std::array::from_fn::<_, 7, _>(|_| new_row());
            let answers = [
                access.parse(record, &mut clock, &mut rows[0]),
                syslog.parse(record, &mut clock, &mut rows[1]),
                logfmt.parse(record, &mut clock, &mut rows[2]),
                csv.parse(record, &headers[0], &mut clock, &mut rows[3]),
                csv.parse(record, &headers[1], &mut clock, &mut rows[4]),
                klog.parse(record, &mut clock, &mut rows[5]),
                log4j.parse(record, &mut clock, &mut rows[6]),
            ];
            rows.iter().for_each(|row| stay_in_bounds(record, row));
            (answers, rows.map(|row| Read::of(record, &row)))
        };
        let alone = all(record);
        all(before);
        let again = all(record);
        assert_eq!(
            alone,
            again,
            "what was read before changed {}",
            record.escape_ascii()
        );
        answers.push(alone.0);
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "what is wanted changed the format of {}",
        record.escape_ascii()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_read_without_a_panic(record in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&record, b"a=1 b=2");
        csv::header(&record);
    }

    #[test]
    fn mutated_lines_are_read_without_a_panic(record in mutated(), before in mutated()) {
        check(&record, &before);
        csv::header(&record);
    }
}

#[test]
fn long_hostile_records_take_linear_time() {
    let started = std::time::Instant::now();
    let head = "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"";
    for unit in [
        "\" ",
        "\\\"",
        "\"",
        "a=\"",
        "[",
        "[a]",
        " [a b=\"c\"]",
        "k=v ",
        "<",
        "\" 200 ",
        ", ",
        ",\"",
        "\"\"",
        " \"\"\"x",
        " ",
    ] {
        let run = unit.repeat((1 << 16) / unit.len());
        for record in [
            run.clone(),
            format!("{head}{run}"),
            format!("{head}GET\" 200 1 {run}"),
            format!("<1>1 - - - - - {run}"),
            format!("Mar  1 00:00:00 host {run}"),
            format!("a=1 {run}"),
        ] {
            check(record.as_bytes(), b"");
        }
    }
    // A quadratic loop over these takes minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

/// Lines of formats that are none of these four are left to their own parsers.
#[test]
fn other_formats_are_not_taken() {
    let mut taken = Vec::new();
    for (file, allowed) in [
        ("loghub/HDFS/HDFS_2k.log", 0),
        ("loghub/Hadoop/Hadoop_2k.log", 0),
        ("loghub/Spark/Spark_2k.log", 0),
        ("loghub/Zookeeper/Zookeeper_2k.log", 0),
        ("loghub/OpenStack/OpenStack_2k.log", 0),
        ("loghub/Apache/Apache_2k.log", 0),
        ("java/kafka_server.log", 0),
        ("lnav/logfile_spark.0", 0),
        ("lnav/logfile_glog.0", 0),
        ("lnav/logfile_rust_tracing.0", 0),
        ("prometheus/expfmt_text.prom", 0),
        ("statsd/datagrams.txt", 0),
    ] {
        let Some(log) = data(file) else { return };
        let (mut access, mut syslog, mut logfmt) = (
            access::Parser::new(&everything()),
            syslog::Parser::new(&everything()),
            logfmt::Parser::new(&everything()),
        );
        let mut count = 0;
        for line in lines(&log) {
            let mut rows = [Row::new(0), Row::new(0), Row::new(0)];
            let [a, b, c] = &mut rows;
            if access.parse(line, &mut clock(), a)
                || syslog.parse(line, &mut clock(), b)
                || logfmt.parse(line, &mut clock(), c)
            {
                count += 1;
                if count < 4 {
                    taken.push(format!("{file}: {}", line.escape_ascii()));
                }
            }
        }
        if count <= allowed {
            taken.retain(|line| !line.starts_with(file));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}
