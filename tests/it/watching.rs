//! States and rules over recorded files: which keys are missing, when an alert goes out, and which alerts do not.
//! The right answers are worked out by hand from the times in the lines.

use crate::program::{Ran, run_in, until};
use crate::run::{configured, start};

const LOG: &str = "\n[[notifier]]\nname = \"log\"\ntype = \"stdout\"\n";

const BEAT: &str = r#"
[[state]]
name = "beat"
key = ["host"]
value = "status"
ok = ["alive"]
expect_within = "10m"
notify = ["log"]
"#;

/// What `weir replay` says over files, without what follows the alerts.
#[track_caller]
fn replayed(config: &str, files: &[&str]) -> Vec<String> {
    let ran = replay(config, files);
    let text = ran.text();
    let lines = text.lines().map(str::to_owned);
    lines.take_while(|line| line.contains("  -> ")).collect()
}

#[track_caller]
fn replay(config: &str, files: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("{config}{LOG}");
    std::fs::write(directory.path().join("weir.toml"), config).unwrap();
    let mut arguments = vec!["replay".to_owned(), "-c".to_owned(), "weir.toml".to_owned()];
    for (number, text) in files.iter().enumerate() {
        let name = format!("{number}.log");
        std::fs::write(directory.path().join(&name), text).unwrap();
        arguments.push(name);
    }
    run_in(directory.path(), &arguments).exits(0)
}

/// What is told, and when: time, rule, status and labels.
#[track_caller]
fn check(config: &str, files: &[&str], want: &[&str]) {
    let rows: Vec<String> = replayed(config, files)
        .iter()
        .map(|line| line.split("  ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(rows, want);
}

/// A line for each host and time.
fn beats(hosts: &[(&str, &str)]) -> String {
    let line = |(host, time): &(&str, &str)| format!("{time} INFO host={host} status=alive\n");
    hosts.iter().map(line).collect()
}

#[test]
fn a_clock_that_runs_ahead_makes_no_other_host_missing() {
    for wrong in [
        "2026-11-23T10:05:30Z",
        "2026-11-24T09:05:30Z",
        "2031-01-01T00:00:00Z",
    ] {
        let mut input = String::new();
        for minute in (0..60).step_by(5) {
            for host in ["a", "b"] {
                input.push_str(&beats(&[(host, &format!("2026-11-23T09:{minute:02}:00Z"))]));
            }
            if minute == 5 {
                input.push_str(&beats(&[("c", wrong), ("c", wrong)]));
            }
        }
        // The host with the wrong clock was heard at 09:05 and never again.
        check(
            BEAT,
            &[&input],
            &["2026-11-23T09:15:00Z beat.missing firing {host=c}"],
        );
    }
}

#[test]
fn files_are_read_side_by_side_by_their_times() {
    let times =
        ["00", "05", "10", "15", "20", "25"].map(|minute| format!("2026-11-23T09:{minute}:00Z"));
    let of = |host: &str| -> String { times.iter().map(|time| beats(&[(host, time)])).collect() };
    check(BEAT, &[&of("a"), &of("b")], &[]);
}

#[test]
fn a_gap_is_told_while_it_lasts_and_nothing_of_what_ended_is_repeated() {
    let config =
        "[[rule]]\nname = \"errors\"\nwhen = \"count(level >= error) > 0\"\nnotify = [\"log\"]\n";
    let input = "2026-11-23T02:00:00Z ERROR broken\n2026-11-25T09:00:00Z INFO fine\n";
    let told = replayed(config, &[input]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("2026-11-23T02:00:00Z  errors firing"));
    assert!(told[1].starts_with("2026-11-23T02:05:"), "{told:#?}");
    assert!(
        told.iter().all(|line| line.ends_with("-> log")),
        "{told:#?}"
    );
}

#[test]
fn a_job_that_failed_and_runs_again_is_not_resolved() {
    let config = r#"
[[state]]
name = "job"
key = ["job"]
value = "event"
pending = ["started"]
ok = ["finished"]
bad = ["failed"]
notify = ["log"]
"#;
    let input = "2026-11-22T03:00:00Z INFO job=mail event=failed\n\
                 2026-11-22T04:00:00Z INFO job=mail event=started\n\
                 2026-11-22T04:05:00Z INFO job=mail event=finished\n";
    check(
        config,
        &[input],
        &[
            "2026-11-22T03:00:00Z job.bad firing {job=mail}",
            "2026-11-22T04:05:00Z job.bad resolved {job=mail}",
        ],
    );
}

#[test]
fn values_in_no_list_mean_what_the_state_says() {
    let of = |unlisted: &str| {
        format!(
            "[[state]]\nname = \"tunnel\"\nkey = [\"peer\"]\nvalue = \"event\"\npending = [\"down\"]\nok = [\"up\"]\n\
             stuck_after = \"5m\"\nunlisted = \"{unlisted}\"\nnotify = [\"log\"]\n"
        )
    };
    let input = "2026-11-23T09:00:00Z INFO peer=x event=down\n\
                 2026-11-23T09:01:00Z INFO peer=x event=keepalive\n\
                 2026-11-23T09:20:00Z INFO peer=x event=up\n";
    let stuck = "2026-11-23T09:05:00Z tunnel.stuck firing {peer=x}";
    let over = "2026-11-23T09:20:00Z tunnel.stuck resolved {peer=x}";
    check(&of("ignore"), &[input], &[stuck, over]);
    check(&of("ok"), &[input], &[]);
    check(
        &of("bad"),
        &[input],
        &[
            "2026-11-23T09:01:00Z tunnel.bad firing {peer=x}",
            "2026-11-23T09:20:00Z tunnel.bad resolved {peer=x}",
        ],
    );
}

#[test]
fn keys_that_go_for_good_are_forgotten() {
    let config = BEAT.replace(
        "notify",
        "forget_after = \"1h\"\nroster = [\"kept\"]\nnotify",
    );
    let input = beats(&[
        ("kept", "2026-11-23T09:00:00Z"),
        ("pod-1", "2026-11-23T09:00:00Z"),
        ("kept", "2026-11-23T09:09:00Z"),
        ("clock", "2026-11-23T10:30:00Z"),
    ]);
    check(
        &config,
        &[&input],
        &[
            "2026-11-23T09:10:00Z beat.missing firing {host=pod-1}",
            "2026-11-23T09:19:00Z beat.missing firing {host=kept}",
            "2026-11-23T10:00:00Z beat.missing resolved {host=pod-1}",
        ],
    );
}

#[test]
fn a_deadline_by_the_calendar_leaves_the_weekend_alone() {
    let config = r#"
[[state]]
name = "payroll"
key = ["job"]
value = "status"
ok = ["done"]
expect_by = "08:00"
expect_on = ["monday:friday"]
notify = ["log"]
[run]
tz = "UTC"
"#;
    let mut input = String::new();
    // From Monday the 16th; Wednesday the 25th is missed, and Thursday's run is on time.
    for day in [16, 17, 18, 19, 20, 23, 24, 26, 27] {
        input.push_str(&format!(
            "2026-11-{day}T07:10:00Z INFO job=export status=done\n"
        ));
        input.push_str(&format!("2026-11-{day}T12:00:00Z INFO clock\n"));
    }
    check(
        config,
        &[&input],
        &[
            "2026-11-25T08:00:00Z payroll.missing firing {job=export}",
            "2026-11-26T07:10:00Z payroll.missing resolved {job=export}",
        ],
    );
}

#[test]
fn alerts_wait_for_the_hours_in_which_they_are_told() {
    let config = r#"
[[time_interval]]
name = "office"
weekdays = ["monday:friday"]
times = ["08:00-18:00"]
location = "UTC"
[[rule]]
name = "errors"
when = "count(level >= error) > 0"
window = "1m"
by = ["host"]
active_time_intervals = ["office"]
notify = ["log"]
[[state]]
name = "db"
key = ["host"]
value = "status"
ok = ["up"]
bad = ["down"]
mute_time_intervals = ["office"]
notify = ["log"]
"#;
    let input = "2026-11-23T03:00:00Z ERROR host=night\n\
                 2026-11-23T10:00:00Z ERROR host=day\n\
                 2026-11-23T10:30:00Z INFO host=db-1 status=down\n\
                 2026-11-23T23:00:00Z INFO clock\n";
    let told = replayed(config, &[input]);
    let rows: Vec<&str> = told.iter().map(|line| line.as_str()).collect();
    assert!(
        rows[0].contains("errors firing {host=night}") || rows[1].contains("night"),
        "{told:#?}"
    );
    let sent: Vec<&&str> = rows.iter().filter(|row| row.contains("-> log")).collect();
    assert_eq!(sent.len(), 3, "{told:#?}");
    assert!(sent[0].starts_with("2026-11-23T10:00:00Z  errors firing {host=day}"));
    assert!(sent[1].starts_with("2026-11-23T10:01:"), "{told:#?}");
    assert!(sent[2].starts_with("2026-11-23T18:00:00Z  db.bad firing {host=db-1}"));
}

#[test]
fn a_critical_alert_keeps_the_warning_about_the_same_host_quiet() {
    let config = r#"
[[rule]]
name = "disk"
when = "max(disk) > 80"
by = ["host"]
window = "10m"
notify = ["log"]
[[rule]]
name = "disk-critical"
when = "max(disk) > 95"
by = ["host"]
window = "5m"
severity = "critical"
notify = ["log"]
[[inhibit]]
source = 'severity == "critical"'
target = 'severity == "warning"'
equal = ["host"]
"#;
    let input = "2026-11-23T09:00:00Z INFO host=a disk=97%\n\
                 2026-11-23T09:00:00Z INFO host=b disk=85%\n\
                 2026-11-23T09:30:00Z INFO clock\n";
    let told = replayed(config, &[input]);
    let of = |text: &str| -> Vec<&String> {
        told.iter()
            .filter(|line| line.contains(text) && line.contains("-> log"))
            .collect()
    };
    assert_eq!(of("disk-critical firing {host=a}").len(), 1, "{told:#?}");
    assert_eq!(of("disk firing {host=b}").len(), 1, "{told:#?}");
    // The warning about a is told when the critical alert has ended and it still holds.
    let warning = of("disk firing {host=a}");
    assert_eq!(warning.len(), 1, "{told:#?}");
    assert!(warning[0].starts_with("2026-11-23T09:05:"), "{told:#?}");
}

#[test]
fn a_new_value_of_a_field_is_told_once() {
    let config =
        "[[rule]]\nname = \"new-host\"\nwhen = \"new(host)\"\nlearn = \"1h\"\nnotify = [\"log\"]\n";
    let input = beats(&[
        ("a", "2026-11-23T09:00:00Z"),
        ("b", "2026-11-23T09:30:00Z"),
        ("a", "2026-11-23T11:00:00Z"),
        ("c", "2026-11-23T11:01:00Z"),
        ("c", "2026-11-23T12:00:00Z"),
        ("b", "2026-11-23T12:01:00Z"),
    ]);
    let told = replayed(config, &[&input]);
    let firing: Vec<&String> = told.iter().filter(|line| line.contains("firing")).collect();
    assert_eq!(firing.len(), 1, "{told:#?}");
    assert!(
        firing[0].starts_with("2026-11-23T11:01:00Z  new-host firing {host=c}"),
        "{told:#?}"
    );
}

#[test]
fn a_counter_is_told_by_how_fast_it_grows_also_where_it_starts_again() {
    let config = "[[rule]]\nname = \"drops\"\nwhen = \"rate(rx) > 10\"\nby = [\"iface\"]\nwindow = \"1m\"\nnotify = [\"log\"]\n";
    let mut input = String::new();
    // 5 a second for three minutes, begun again at 0 after the second, then 20 a second.
    for (minute, value) in [
        (0, 1000),
        (1, 1300),
        (2, 100),
        (3, 400),
        (4, 1600),
        (5, 2800),
    ] {
        input.push_str(&format!(
            "2026-11-23T09:{minute:02}:00Z INFO iface=eth0 rx={value}\n"
        ));
    }
    let told = replayed(config, &[&input]);
    assert!(told[0].starts_with("2026-11-23T09:04:"), "{told:#?}");
    assert!(told[0].contains("drops firing {iface=eth0}"), "{told:#?}");
}

#[test]
fn an_hour_is_compared_with_the_same_hour_a_week_ago() {
    let config = "[[rule]]\nname = \"fewer\"\nwhen = \"count() < 0.5 * ago(7d, count())\"\nwindow = \"1h\"\nnotify = [\"log\"]\n";
    let mut input = String::new();
    for day in 1..=15 {
        for hour in 0..24 {
            // Sixty an hour; from 12:00 on the last day only ten.
            let is_last = day == 15 && hour >= 12;
            for minute in (0..60).step_by(if is_last { 6 } else { 1 }) {
                input.push_str(&format!(
                    "2026-11-{day:02}T{hour:02}:{minute:02}:00Z INFO order\n"
                ));
            }
        }
    }
    let told = replayed(config, &[&input]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("fewer firing"), "{told:#?}");
    assert!(told[0].starts_with("2026-11-15T12:3"), "{told:#?}");
}

#[test]
fn what_nothing_came_to_is_named_with_the_reason() {
    let config = "[[rule]]\nname = \"brute\"\nwhen = \"count() >= 5\"\nwhere = 'message contains \"Failed\"'\nby = [\"ip\"]\nnotify = [\"log\"]\n";
    let input = "2026-11-23T09:00:00Z INFO Failed password from 1.2.3.4\n".repeat(6);
    let ran = replay(config, &[&input]);
    let text = ran.text();
    assert!(
        text.contains(
            "note: rule \"brute\": 6 records met its where, and none has the field \"ip\""
        ),
        "{text}"
    );
}

#[test]
fn a_log_without_times_has_no_invented_date() {
    let config =
        "[[rule]]\nname = \"fatal\"\nwhen = \"count(level >= error) > 0\"\nnotify = [\"log\"]\n";
    let ran = replay(
        config,
        &["Fatal: wrong password\nERROR cannot open the repository\n"],
    );
    let text = ran.text();
    assert!(text.contains("no time  fatal firing"), "{text}");
    assert!(!text.contains("1970"), "{text}");
}

#[test]
fn mistakes_about_hours_and_inhibition_have_a_remedy() {
    for (config, message) in [
        (
            "[[time_interval]]\nname = \"x\"\ntimes = [\"22:00-06:00\"]\n",
            "write two",
        ),
        (
            "[[time_interval]]\nname = \"x\"\ndays_of_month = [\"30:31\"]\nmonths = [\"february\"]\n",
            "no day on which this interval holds",
        ),
        (
            "[[rule]]\nname = \"r\"\nwhen = \"count() > 1\"\nmute_time_intervals = [\"ofice\"]\nnotify = [\"log\"]\n\
             [[time_interval]]\nname = \"office\"\n",
            "did you mean \"office\"?",
        ),
        (
            "[[rule]]\nname = \"r\"\nwhen = \"count() > 1\"\nnotify = [\"log\"]\n\
             [[inhibit]]\nsource = 'severity == \"warning\"'\ntarget = 'severity == \"warning\"'\n",
            "each would keep all others quiet",
        ),
        (
            "[[rule]]\nname = \"r\"\nwhen = \"count() > 1\"\nnotify = [\"log\"]\n\
             [[inhibit]]\nsource = 'severity == \"critical\"'\ntarget = 'severity == \"warning\"'\n",
            "no rule or state makes an alert",
        ),
        (
            "[[rule]]\nname = \"r\"\nwhen = \"count() < ago(60d, count())\"\nnotify = [\"log\"]\n",
            "35 days that are kept",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("weir.toml"), format!("{config}{LOG}")).unwrap();
        let ran = run_in(directory.path(), ["check", "-c", "weir.toml"]);
        assert_eq!(ran.code, 78, "{config}");
        let said = format!("{}{}", ran.text(), ran.stderr);
        assert!(said.contains(message), "{config}: {said}");
    }
}

/// A file that is not there and one that stays empty: silence begins with the run.
#[test]
fn silence_from_the_start_is_told() {
    for is_there in [false, true] {
        let scene = configured(
            "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\n\
             [[rule]]\nname = \"no-lines\"\nwhen = \"count() == 0\"\nwindow = \"2s\"\nnotify = [\"log\"]\n\
             [[state]]\nname = \"heard\"\nkey = [\"host\"]\nvalue = \"level\"\nexpect_within = \"2s\"\nroster = [\"web-1\"]\n\
             notify = [\"log\"]\n\
             [[notifier]]\nname = \"log\"\ntype = \"file\"\npath = \"told.ndjson\"\n\
             [run]\nlateness = \"0s\"\n",
        );
        if is_there {
            scene.append("app.log", b"");
        }
        let running = start(&scene);
        let told = || std::fs::read_to_string(scene.path("told.ndjson")).unwrap_or_default();
        until("both silences", || {
            let told = told();
            told.contains("no-lines") && told.contains("heard.missing")
        });
        let told = told();
        drop(running);
        assert!(told.contains("no-lines"), "{is_there}: {told}");
        assert!(told.contains("heard.missing"), "{is_there}: {told}");
    }
}

#[test]
fn silences_by_hand_are_kept_in_the_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let run = |arguments: &[&str]| {
        let mut all = vec!["silence"];
        all.extend(arguments);
        all.extend(["--state", "state"]);
        run_in(directory.path(), &all)
    };
    run(&["add", "host=db-1", "--for", "4h", "--comment", "patching"]).exits(0);
    run(&["add", "alertname=db.bad"]).exits(0);
    let list = run(&["list"]).exits(0).text();
    assert!(list.starts_with("1: host=db-1  until "), "{list}");
    assert!(
        list.contains("patching") && list.contains("2: alertname=db.bad"),
        "{list}"
    );
    run(&["remove", "1"]).exits(0);
    let list = run(&["list"]).exits(0).text();
    assert!(!list.contains("db-1"), "{list}");
    assert_eq!(run(&["remove", "7"]).code, 2);
    assert_eq!(run(&["add", "db-1"]).code, 2);
}
