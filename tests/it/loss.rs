//! Law 2, the other way round: lose something on purpose and see that the books notice. Needs a debug
//! build or the feature `failpoints`, which no release has.

use crate::program::{feed, weir};

fn ends_in_3(point: &str, args: &[&str]) {
    let input =
        b"2026-03-14T09:00:00Z ERROR disk full\n2026-03-14T09:00:01Z INFO fine\n".repeat(30_000);
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

#[test]
fn what_one_sink_of_several_does_not_get_ends_in_exit_3() {
    let home = tempfile::tempdir().unwrap();
    let config = "[filter]\nlevel = \"info\"\n\
                  [[sink]]\ntype = \"file\"\npath = \"all\"\n\
                  [[sink]]\ntype = \"file\"\npath = \"errors\"\nwhere = \"level >= error\"\n\
                  [[sink]]\ntype = \"stdout\"\n";
    std::fs::write(home.path().join("weir.toml"), config).unwrap();
    let input = b"2026-03-14T09:00:00Z ERROR disk full\n2026-03-14T09:00:01Z INFO fine\n";
    let ran = |point: Option<&str>| {
        let mut command = weir(["run", "-q", "-c", "weir.toml"]);
        command.current_dir(home.path());
        command.envs(point.map(|point| ("WEIR_FAILPOINT", point)));
        feed(&mut command, &input.repeat(20_000))
    };
    assert_eq!(ran(None).code, 0);
    for point in ["sink:1", "sink:2", "write:0", "batch:0", "record:0"] {
        let ran = ran(Some(point));
        assert_eq!(ran.code, 3, "{point}; stderr:\n{}", ran.stderr);
        assert!(ran.stderr.contains("unaccounted"), "{}", ran.stderr);
    }
}
