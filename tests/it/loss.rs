//! Law 2, the other way round: lose something on purpose and see that the books notice. Needs the
//! feature `failpoints`, which no release has.

use crate::program::{feed, weir};

fn ends_in_3(point: &str, args: &[&str]) {
    let input =
        b"2026-03-14T09:00:00Z ERROR disk full\n2026-03-14T09:00:01Z INFO fine\n".repeat(50_000);
    let mut command = weir(args);
    command.env("WEIR_FAILPOINT", point);
    let ran = feed(&mut command, &input);
    assert_eq!(
        ran.code, 3,
        "{point} with {args:?}; stderr:\n{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("unaccounted"), "{}", ran.stderr);
    let undisturbed = feed(&mut weir(args), &input);
    assert_eq!(undisturbed.code, 0, "{args:?}: {}", undisturbed.stderr);
}

const FILTERS: [&[&str]; 6] = [
    &["filter"],
    &["filter", "-m", "ERROR"],
    &["filter", "-l", "error"],
    &["filter", "-l", "error", "-m", "disk"],
    &["filter", "-o", "json"],
    &["filter", "--dedup", "message"],
];

#[test]
fn a_lost_batch_ends_in_exit_3() {
    for args in FILTERS
        .into_iter()
        .chain([&["-o", "json"][..], &["filter", "-c"]])
    {
        ends_in_3("batch:0", args);
        ends_in_3("batch:2", args);
    }
}

#[test]
fn a_lost_record_ends_in_exit_3() {
    for args in FILTERS
        .into_iter()
        .chain([&["-o", "json"][..], &["-m", "ERROR"]])
    {
        ends_in_3("record:0", args);
    }
}

#[test]
fn a_lost_write_ends_in_exit_3() {
    for args in FILTERS {
        ends_in_3("write:0", args);
    }
}
