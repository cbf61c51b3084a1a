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
        "{% for alert in alerts %}{{ alert.rule }} on {{ alert.labels.host }} ({{ alert.severity }}) {{ alert.value }} {{ alert.samples[0].source }}:{{ alert.samples[0].offset }}|{% endfor %} {{ firing }} {{ resolved }} {{ left_out }} {{ group.host }} {{ status }} {{ notifier }} {{ alerts[0].starts_at }}{{ alerts[0].ends_at }}{{ nothing.at.all }}",
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
    assert!(!words.has_own_text && words.text.contains("FIRING cpu-high host=web-1"));
    assert!(
        !words.has_own_title
            && words
                .title
                .starts_with("[FIRING:5] cpu-high (critical) host=web-1")
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
