use super::*;
use crate::flow::alert::{Evidence, SampleLine};
use crate::flow::time::Time;

const HOSTILE: &str = "{{ 7*7 }} {% for %} <!channel> & \n${jndi:x} \u{1b}[0m";

fn notification(summary: &str) -> Notification {
    let alert = Alert {
        id: "a".to_owned(),
        rule: "cpu-high".to_owned(),
        status: Status::Firing,
        labels: vec![
            ("host".to_owned(), "web-1".to_owned()),
            ("severity".to_owned(), "critical".to_owned()),
        ],
        summary: summary.to_owned(),
        value: Some(95.5),
        starts_at: Time(0),
        ends_at: None,
        evidence: Evidence {
            samples: vec![SampleLine {
                source: "app.log".to_owned(),
                offset: 7,
                line: summary.to_owned(),
            }],
            ..Evidence::default()
        },
    };
    Notification {
        number: 1,
        notifier: "n".to_owned(),
        id: "n1".to_owned(),
        status: Status::Firing,
        group: vec![("host".to_owned(), "web-1".to_owned())],
        alerts: vec![alert.clone(), alert],
        left_out: 3,
        made_at: Time(0),
    }
}

#[track_caller]
fn check(template: &str, escape: Escape, summary: &str, want: &str) {
    let texts = Texts::new(None, Some(template), escape).unwrap();
    let words = texts.write(&notification(summary));
    assert_eq!((words.problem, words.text.as_str()), (None, want));
}

#[test]
fn templates_see_the_notification() {
    check(
        "{% for alert in alerts %}{{ alert.rule }} on {{ alert.labels.host }} ({{ alert.severity }}) {{ alert.value }} {{ alert.samples[0].source }}:{{ alert.samples[0].offset }}|{% endfor %} {{ firing }} {{ resolved }} {{ left_out }} {{ group.host }} {{ status }} {{ notifier }} {{ alerts[0].starts_at }}{{ alerts[0].ends_at }}",
        Escape::None,
        "s",
        "cpu-high on web-1 (critical) 95.5 app.log:7|cpu-high on web-1 (critical) 95.5 app.log:7| 5 0 3 web-1 firing n 1970-01-01T00:00:00Z",
    );
}

#[test]
fn data_is_escaped_once_and_never_read_as_a_template() {
    let template = "<b>\n{{ alerts[0].summary }}\n& {{ '<x>' }}";
    check(
        template,
        Escape::None,
        HOSTILE,
        &format!("<b>\n{HOSTILE}\n& <x>"),
    );
    check(
        template,
        Escape::Line,
        HOSTILE,
        "<b>\n{{ 7*7 }} {% for %} <!channel> & \\n${jndi:x} \\x1b[0m\n& <x>",
    );
    check(
        template,
        Escape::Slack,
        HOSTILE,
        "<b>\n{{ 7*7 }} {% for %} &lt;!channel&gt; &amp; \\n${jndi:x} \\x1b[0m\n& &lt;x&gt;",
    );
    // Marking it as safe does not get it past the channel.
    check(
        "{{ alerts[0].summary | safe }}",
        Escape::Slack,
        "<!here>",
        "&lt;!here&gt;",
    );
    check(
        "{{ alerts[0].summary | upper }}",
        Escape::Slack,
        "<!here>",
        "&lt;!HERE&gt;",
    );
}

#[test]
fn a_template_that_does_too_much_is_replaced_and_named() {
    let loops = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
    let texts = Texts::new(Some("t {{ 1 // 0 }}"), Some(loops), Escape::Line).unwrap();
    let words = texts.write(&notification("s"));
    assert!(words.problem.unwrap().contains("too much work"));
    assert!(!words.has_own_text && words.text.starts_with("s\n"));
    assert!(
        !words.has_own_title
            && words
                .title
                .starts_with("[FIRING:5] critical cpu-high host=web-1")
    );
}

#[test]
fn a_text_that_is_too_long_is_cut() {
    let texts = Texts::new(
        Some("{{ alerts[0].summary }}"),
        Some("{{ alerts[0].summary }}{{ alerts[0].summary }}"),
        Escape::None,
    )
    .unwrap();
    let words = texts.write(&notification(&"ß".repeat(30_000)));
    assert_eq!(words.problem, None);
    assert!(words.text.len() <= TEXT_BYTES_MAX + 3);
    assert_eq!(words.title.chars().count(), TITLE_CHARACTERS_MAX);
}

#[test]
fn a_title_is_one_line() {
    let texts = Texts::new(Some("a\nb\r\n{{ alerts[0].summary }}"), None, Escape::None).unwrap();
    assert_eq!(
        texts.write(&notification("c\r\nBcc: x")).title,
        "a b c Bcc: x"
    );
}

#[test]
fn a_wrong_template_is_refused_with_its_line() {
    for (template, part) in [
        ("a\n{{ b", "line 2"),
        ("{% if %}", "line 1"),
        (
            "\n\n{{ alerts[0].rule | nosuchfilter }}",
            "line 3: unknown filter",
        ),
        ("{{ nosuchfunction() }}", "line 1: unknown function"),
        ("{% include 'etc/passwd' %}", "unknown statement include"),
    ] {
        let error = Texts::new(None, Some(template), Escape::None).err();
        assert!(
            error.as_ref().is_some_and(|error| error.contains(part)),
            "{template}: {error:?}"
        );
    }
}

#[test]
fn a_name_that_is_not_there_is_refused_with_the_nearest_one() {
    for (template, part) in [
        (
            "{{ allerts }}",
            "unknown name \"allerts\"; did you mean \"alerts\"?",
        ),
        (
            "{{ alerts[0].sumary }}",
            "unknown name \"alerts[0].sumary\"; did you mean \"summary\"?",
        ),
        (
            "{% for alert in alerts %}{% for s in alert.samples %}{{ s.text }}{% endfor %}{% endfor %}",
            "unknown name \"alerts[0].samples[0].text\"; the names are line, offset, source",
        ),
        (
            "{% if status == 'resolved' %}{{ endsAt }}{% endif %}",
            "unknown name \"endsAt\"",
        ),
    ] {
        let error = Texts::new(None, Some(template), Escape::None).err();
        assert!(
            error.as_ref().is_some_and(|error| error.contains(part)),
            "{template}: {error:?}"
        );
    }
    for template in [
        "{{ alerts[0].labels.anything }}{{ group.anything }}",
        "{% for i in range(3) %}{{ loop.index }}{{ i }}{% endfor %}",
        "{{ alerts[0].evidence.samples[0].line }}{{ alerts[0].ends_at }}",
        "{% set a = alerts | length %}{{ a }}{{ dict(x=1).x }}",
        "{{ alerts | map(attribute='rule') | join(', ') }}{% if not alerts %}none{% endif %}",
        "{{ alerts[-1].host }}{{ alerts[7].host }}{{ (alerts | first).summary }}",
    ] {
        let error = Texts::new(None, Some(template), Escape::None).err();
        assert_eq!(error, None, "{template}");
    }
}

fn told(rule: &str, severity: &str, host: &str, status: Status) -> Alert {
    let mut told = notification("cpu=95").alerts.remove(0);
    told.rule = rule.to_owned();
    told.status = status;
    told.labels = vec![
        ("alertname".to_owned(), rule.to_owned()),
        ("host".to_owned(), host.to_owned()),
        ("severity".to_owned(), severity.to_owned()),
    ];
    told.summary = format!("p95(cpu) > 90, is 95 (host={host})");
    told.evidence.count = 12;
    told
}

/// What people read of some alerts.
fn built_in(alerts: Vec<Alert>) -> Words {
    let texts = Texts::new(None, None, Escape::Line).unwrap();
    texts.write(&Notification {
        status: status(&alerts),
        alerts,
        left_out: 0,
        ..notification("")
    })
}

#[test]
fn the_first_line_is_the_newest_line_of_the_log() {
    let mut alert = told("cpu-high", "critical", "web-1", Status::Firing);
    alert.evidence.samples = [("cpu=91", 7), ("cpu=95", 90)]
        .map(|(line, offset)| SampleLine {
            source: "app.log".to_owned(),
            offset,
            line: line.to_owned(),
        })
        .to_vec();
    let words = built_in(vec![alert]);
    assert_eq!(words.title, "[FIRING:1] critical cpu-high host=web-1");
    assert_eq!(
        words.text,
        "cpu=95\np95(cpu) > 90, is 95 (host=web-1)\n12 records, since 1970-01-01T00:00:00Z\n\
         on web-1, app.log:90\nearlier:\n  app.log:7: cpu=91\n"
    );
}

#[test]
fn a_resolved_alert_begins_with_how_things_are_now() {
    let mut alert = told("backup.bad", "warning", "web-1", Status::Resolved);
    alert.summary = "backup web-1: \"done\"".to_owned();
    alert.ends_at = Some(Time(60 * Time::SECOND));
    let words = built_in(vec![alert]);
    assert_eq!(words.title, "[RESOLVED:1] warning backup.bad host=web-1");
    assert!(
        words.text.starts_with("backup web-1: \"done\"\n12 records, since 1970-01-01T00:00:00Z until 1970-01-01T00:01:00Z\n"),
        "{}",
        words.text
    );
}

#[test]
fn many_alerts_get_a_line_each_the_worst_first() {
    let mut alerts: Vec<Alert> = (1..=9)
        .rev()
        .map(|number| told("down", "warning", &format!("web-{number}"), Status::Firing))
        .collect();
    alerts.push(told("down", "critical", "web-7b", Status::Firing));
    let words = built_in(alerts);
    assert_eq!(
        words.title,
        "[FIRING:10] critical down host=web-7b, web-1, web-2 and 7 more"
    );
    let lines: Vec<&str> = words.text.lines().collect();
    assert_eq!(lines.len(), 10, "{}", words.text);
    assert_eq!(
        lines[0],
        "host=web-7b severity=critical: cpu=95 (12 records)"
    );
    assert_eq!(lines[1], "host=web-1 severity=warning: cpu=95 (12 records)");
    assert_eq!(lines[9], "host=web-9 severity=warning: cpu=95 (12 records)");
}

#[test]
fn an_alert_without_a_host_names_the_machine_of_the_run() {
    let mut alert = told("errors", "warning", "web-1", Status::Firing);
    assert_eq!(words::machine(&alert), "web-1");
    alert.labels.retain(|(name, _)| name != "host");
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(words::machine(&alert), own.trim());
}

#[test]
fn common_pairs_are_those_of_every_list() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let first = pairs(&[("a", "1"), ("b", "2")]);
    let second = pairs(&[("b", "2"), ("a", "3")]);
    assert_eq!(common([&first[..], &second[..]].into_iter()), [("b", "2")]);
    assert!(common::<String>([].into_iter()).is_empty());
}
