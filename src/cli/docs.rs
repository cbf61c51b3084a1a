//! What the program says about itself: shell completions, the manual page, the schemas.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::cli::output;
use crate::config::schema;
use crate::error::Failure;
use crate::flow::format::Format;

/// The JSON Schema of a report, all but the names of formats, which come from their one list.
const REPORT_SCHEMA: &str = include_str!("../report/report.schema.json");

pub fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut bytes);
    output::write(None, bytes).map(|()| 0)
}

pub fn man() -> Result<u8, Failure> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut bytes)
        .map_err(|error| Failure::io(error.to_string()))?;
    output::write(None, bytes).map(|()| 0)
}

pub fn schema() -> Result<u8, Failure> {
    output::write(None, report_schema().into_bytes()).map(|()| 0)
}

fn report_schema() -> String {
    let names = Format::ALL.map(|format| format!("\"{}\"", format.name()));
    REPORT_SCHEMA.replace("\"FORMATS\"", &names.join(", "))
}

/// The JSON Schema of the configuration, made from the types that it is read into.
pub fn configuration_schema() -> Result<u8, Failure> {
    let text = format!("{:#}\n", schema::document());
    output::write(None, text.into_bytes()).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;

    /// The JSON that the command line prints for a file of this content.
    fn report(content: &[u8], flags: &[&str]) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("in.log");
        let output = directory.path().join("out.json");
        std::fs::write(&input, content).unwrap();
        let mut line = vec!["weir", "-q", "-o", "json", "-O"];
        line.push(output.to_str().unwrap());
        line.extend(flags);
        line.push(input.to_str().unwrap());
        crate::cli::report::run(Cli::parse_from(line).report).unwrap();
        serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap()
    }

    /// What breaks the schema, by the keywords that it uses, and keys that it does not describe.
    fn problems(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let is = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("the schema has an unknown type {other}"),
        };
        let types = match &schema["type"] {
            Value::String(name) => is(name),
            Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
            _ => panic!("no type at {place}"),
        };
        if !types {
            found.push(format!("{place} is {value}"));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            found.push(format!("{place} is {value}, not one of {allowed:?}"));
        }
        if let (Some(minimum), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
            && number < minimum
        {
            found.push(format!("{place} is {number}"));
        }
        if let Some(object) = value.as_object() {
            for name in schema["required"].as_array().into_iter().flatten() {
                if !object.contains_key(name.as_str().unwrap()) {
                    found.push(format!("{place} lacks {name}"));
                }
            }
            for (key, member) in object {
                let place = format!("{place}.{key}");
                match (
                    schema["properties"].get(key),
                    &schema["additionalProperties"],
                ) {
                    (Some(schema), _) => problems(schema, member, &place, found),
                    (None, Value::Object(_)) => {
                        problems(&schema["additionalProperties"], member, &place, found)
                    }
                    (None, _) => found.push(format!("{place} is not described")),
                }
            }
        }
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            problems(&schema["items"], item, &format!("{place}[{number}]"), found);
        }
    }

    #[test]
    fn reports_of_all_kinds_are_as_the_schema_says() {
        let schema: Value = serde_json::from_str(&report_schema()).unwrap();
        let logfmt = "ts=2024-03-01T00:00:00Z level=error host=a latency=12ms load=-1.5 msg=\"bad 17\"\n\
                      ts=2024-03-01T00:01:00Z level=info host=b latency=3s load=NaN msg=fine\nplain \u{1b}[2J\n";
        let every = [
            "-l",
            "trace",
            "--by",
            "host",
            "--by",
            "level,host",
            "--top",
            "1",
        ];
        let named = ["--metric", "latency", "--metric", "load", "--by", "host"];
        let inputs: [(&[u8], &[&str]); 7] = [
            (b"", &[]),
            (logfmt.as_bytes(), &every),
            (logfmt.as_bytes(), &named),
            (
                b"up 1\nlatency_seconds{le=\"+Inf\"} +Inf\n",
                &["--metric", "latency_seconds"],
            ),
            (b"\xff\xfe ERROR \0\n\n\n", &["-l", "trace"]),
            (
                b"{\"level\":\"warn\",\"msg\":\"x\",\"cpu\":\"97%\",\"size\":\"3KiB\"}\n",
                &["--by", "cpu"],
            ),
            (b"ERROR a\n", &["-m", "nothing"]),
        ];
        for (content, flags) in inputs {
            let report = report(content, flags);
            let mut found = Vec::new();
            problems(&schema, &report, "report", &mut found);
            assert!(found.is_empty(), "{flags:?}: {found:#?}");
        }
    }

    #[test]
    fn the_check_sees_what_is_wrong() {
        let schema: Value = serde_json::from_str(&report_schema()).unwrap();
        let good = report(b"ERROR a\n", &[]);
        let breaks: [fn(&mut Value); 6] = [
            |report| report["schema"] = "weir.report/2".into(),
            |report| report["ledger"]["kept"] = "1".into(),
            |report| report["levels"]["error"] = (-1).into(),
            |report| report["messages"][0]["level"] = "loud".into(),
            |report| report["messages"][0]["new"] = 1.into(),
            |report| {
                report.as_object_mut().unwrap().remove("tz");
            },
        ];
        for break_it in breaks {
            let mut report = good.clone();
            break_it(&mut report);
            let mut found = Vec::new();
            problems(&schema, &report, "report", &mut found);
            assert_eq!(found.len(), 1, "{found:?}");
        }
    }
}
