//! The command line itself: what help, manual, completions and schema say, and how mistakes in
//! arguments are answered.

use crate::program::{run_with, weir};

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [
        &["--help"][..],
        &["filter", "--help"],
        &["merge", "--help"],
        &["-h"],
    ] {
        let ran = run_with(args, b"").exits(0);
        assert!(ran.text().contains("Usage:"), "{args:?}");
        assert_eq!(ran.stderr, "");
    }
    let ran = run_with(["--version"], b"").exits(0);
    assert_eq!(ran.text(), format!("weir {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_flag_of_the_help_stands_in_the_manual() {
    let help = run_with(["--help"], b"").exits(0).text();
    let manual = run_with(["man"], b"").exits(0).text().replace('\\', "");
    let flags: Vec<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .map(|word| word.trim_end_matches([',', '.', ';', ')']))
        .collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        assert!(manual.contains(flag), "the manual lacks {flag}");
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run_with(["completions", shell], b"").exits(0);
        assert!(ran.text().contains("weir"), "{shell}");
    }
    run_with(["completions", "bsh"], b"").exits(2).says("bash");
}

#[test]
fn mistakes_name_the_nearest_word() {
    run_with(["--outptu", "json"], b"")
        .exits(2)
        .says("--output");
    run_with(["--output", "jsn"], b"").exits(2).says("json");
    run_with(["--format", "sylog"], b"")
        .exits(2)
        .says("\"syslog\"");
    run_with(["--dedup", "exact"], b"").exits(2);
    run_with(["filter", "--dedup", "exct"], b"")
        .exits(2)
        .says("exact");
    run_with(["-l", "eror"], b"").exits(2).says("error");
    run_with(["filter", "-w", "contians(a)"], b"")
        .exits(2)
        .says("-w");
    run_with(["--threads", "0"], b"").exits(2).says("--threads");
    run_with(["--max-mem", "lots"], b"")
        .exits(2)
        .says("--max-mem");
    run_with(["--since", "yesterdayish"], b"")
        .exits(2)
        .says("--since");
    run_with(["--by", "a,,b"], b"").exits(2).says("--by");
    run_with(["--by", "raw"], b"").exits(2).says(".raw");
    run_with(["filter", "-i"], b"").exits(2).says("--match");
}

#[test]
fn a_mistake_in_an_environment_twin_is_one_too() {
    let output = weir(["filter"]).env("WEIR_OUTPUT", "jsn").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn one_thread_and_many_give_the_same_bytes() {
    let mut input = Vec::new();
    for number in 0..100_000u32 {
        let level = ["INFO", "WARN", "ERROR"][(number % 7 % 3) as usize];
        input.extend_from_slice(
            format!(
                "2026-03-14T09:00:00Z {level} job {number} took {}ms\n",
                number % 977
            )
            .as_bytes(),
        );
    }
    for args in [
        &["-o", "json"][..],
        &["filter", "-l", "warn"],
        &["filter", "--dedup", "message"],
    ] {
        let run = |threads: &str| run_with([args, &["-t", threads]].concat(), &input).exits(0);
        let one = run("1");
        for threads in ["2", "5"] {
            assert!(
                run(threads).stdout == one.stdout,
                "{threads} threads: {args:?}"
            );
        }
    }
}
