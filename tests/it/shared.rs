//! Where the shared test data is, and how to run the built command on it. Tests that need the data
//! say so on standard error and pass when it is not there.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The folder of the shared data: `WEIR_SHARED_DATA`, or `../shared/data` beside this repository.
pub fn data() -> Option<PathBuf> {
    let path = std::env::var_os("WEIR_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    if path.is_dir() {
        Some(path)
    } else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: no test data at {}\n", path.display()),
        );
        None
    }
}

/// The built command without the environment's say, in UTC.
pub fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    command.env("TZ", "UTC");
    command
}

/// Standard output of a run that has to end with 0.
pub fn output<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Vec<u8> {
    let args: Vec<_> = args
        .into_iter()
        .map(|arg| arg.as_ref().to_owned())
        .collect();
    let output = weir().args(&args).output().expect("the command starts");
    assert!(
        output.status.success(),
        "{args:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A report as JSON.
pub fn report<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Value {
    let args: Vec<_> = args
        .into_iter()
        .map(|arg| arg.as_ref().to_owned())
        .collect();
    let bytes = output(
        ["-q", "-o", "json"]
            .map(OsStr::new)
            .into_iter()
            .chain(args.iter().map(AsRef::as_ref)),
    );
    serde_json::from_slice(&bytes).expect("a report is JSON")
}

/// The JSON lines of `weir filter`.
pub fn lines<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Vec<Value> {
    let args: Vec<_> = args
        .into_iter()
        .map(|arg| arg.as_ref().to_owned())
        .collect();
    let head = ["filter", "-q", "-o", "json"].map(OsStr::new);
    let bytes = output(head.into_iter().chain(args.iter().map(AsRef::as_ref)));
    bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line).unwrap_or_else(|error| {
                panic!("{args:?}: {error}: {}", String::from_utf8_lossy(line))
            })
        })
        .collect()
}
