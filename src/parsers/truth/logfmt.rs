use super::*;
use crate::parsers::logfmt::Parser;

fn read(record: &[u8]) -> Option<Read> {
    let mut row = Row::new(0);
    Parser::new(&everything())
        .parse(record, &mut clock(), &mut row)
        .then(|| Read::of(record, &row))
}

#[test]
fn agrees_with_the_vectors_of_go_logfmt() {
    use base64::Engine;
    let mut score = Score::default();
    for case in json_lines("logfmt/cases.jsonl") {
        let input = match (case["input"].as_str(), case["input_b64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, encoded) => base64::engine::general_purpose::STANDARD
                .decode(encoded.unwrap())
                .unwrap(),
        };
        let mut parser = Parser::new(&everything());
        let place = format!("\"{}\"", input.escape_ascii());
        // A line is a record; a quoted value of the vectors holds no line feed.
        let records: Vec<Option<BTreeMap<String, Option<String>>>> = input
            .strip_suffix(b"\n")
            .unwrap_or(&input)
            .split(|byte| *byte == b'\n')
            .map(|record| {
                let mut row = Row::new(0);
                parser.parse_any(record, &mut clock(), &mut row).then(|| {
                    let read = Read::of(record, &row);
                    read.fields
                        .into_iter()
                        .map(|(name, text)| {
                            (
                                name.clone(),
                                Some(text).filter(|_| read.kinds[&name] != Kind::Null),
                            )
                        })
                        .collect()
                })
            })
            .collect();
        if case["error"].is_object() {
            score.compare(
                &place,
                "error",
                &format!("{}", records.contains(&None)),
                "true",
            );
            continue;
        }
        let want: Vec<Option<BTreeMap<String, Option<String>>>> = case["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pairs| {
                Some(
                    pairs
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|pair| {
                            (
                                pair[0].as_str().unwrap().to_owned(),
                                pair[1].as_str().map(str::to_owned),
                            )
                        })
                        .collect(),
                )
            })
            .collect();
        score.compare(
            &place,
            "records",
            &format!("{records:?}"),
            &format!("{want:?}"),
        );
    }
    score.check(
        "logfmt",
        &[
            (
                "\"a=1\\nk=b=ar\"",
                "a value without quotes may hold `=`: addresses with a query do",
            ),
            (
                "\"a=\\\"\\\\u1\\\"\"",
                "an escape that does not exist stands for itself",
            ),
        ],
    );
}

#[test]
fn agrees_with_vrl() {
    let Some(page) = json("vrl_examples/parse_logfmt.json") else {
        return;
    };
    let mut score = Score::default();
    for example in page["examples"].as_array().unwrap() {
        let source = example["source"].as_str().unwrap();
        let literal = &source[source.find('"').unwrap()..=source.rfind('"').unwrap()];
        let line: String = serde_json::from_str(literal).unwrap();
        let read = read(line.as_bytes()).unwrap_or_else(|| panic!("not read: {line}"));
        for (key, want) in example["return"].as_object().unwrap() {
            score.compare(&line, key, read.field(key), want.as_str().unwrap_or("true"));
        }
        score.compare(
            &line,
            "count",
            &read.fields.len().to_string(),
            &example["return"].as_object().unwrap().len().to_string(),
        );
    }
    score.check(
        "vrl logfmt",
        &[(
            "zork=zook plonk zonk=nork plonk",
            "a bare key is null here, true there",
        )],
    );
}

#[test]
fn reads_level_time_and_message() {
    let Some(log) = data("lnav/logfile_logfmt.0") else {
        return;
    };
    let reads: Vec<Read> = lines(&log)
        .into_iter()
        .map(|line| read(line).unwrap())
        .collect();
    assert_eq!(
        reads
            .iter()
            .map(|read| read.level.unwrap().name())
            .collect::<Vec<_>>(),
        ["error", "warn", "info", "info", "error"]
    );
    assert_eq!(reads[0].time, Some(time("2021-09-15T21:17:10.220731Z")));
    assert_eq!(reads[3].message, "Pod deleted");
    assert_eq!(
        reads[1].field("error"),
        "pod inc-1-domain-c14-ns-6/fe-inc-1-domain-c14-ns-6-5-656d9bb695-4584b is not found: PodNotFound"
    );
}

#[test]
fn a_message_is_its_keys_without_a_message_key() {
    assert_eq!(
        read(b"b=1 a=2 level=info a=3").unwrap().message,
        "a=<*> b=<*> level=<*>"
    );
    assert_eq!(
        read(b"msg=\"\" text=\"two \\\"words\\\"\"")
            .unwrap()
            .message,
        "two \"words\""
    );
    assert_eq!(read(b"text=b msg=a").unwrap().message, "a");
}

#[test]
fn leaves_prose_alone() {
    for text in [
        "",
        "a=1",
        "x = y z = w",
        "a=1 b=2 and then some more words here",
        "total=5, used=3, free=2",
        "cpu,host=a value=1 1",
        "cpu value=1 idle=2",
        "a=1 b=\"open",
        "a=1 =b",
        "a=1 b==2",
        "a=1 b=2 say \"hello\"",
        "https://x.y/?a=b c=d e=f",
    ] {
        assert!(read(text.as_bytes()).is_none(), "{text}");
    }
}
