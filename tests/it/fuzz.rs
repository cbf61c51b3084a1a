//! Replays the inputs that the fuzzers start from and those that once broke something, through the
//! same functions, so that the ordinary tests keep what the fuzzers found.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What all kept inputs may take on disk together.
const KEPT_BYTES_MAX: u64 = 200 << 10;

/// Longest time for one input, on a slow machine and without optimisation.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.trim_end_matches(".rs").to_owned()
    };
    entries.map(name).collect()
}

#[test]
fn kept_inputs_of_the_fuzzers_break_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut bytes = 0;
    for (target, run) in targets::TARGETS {
        let mut inputs = 0;
        for folder in ["corpus", "regressions"] {
            let folder = root.join(folder).join(target);
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                let input = fs::read(&path).unwrap();
                bytes += input.len() as u64;
                inputs += 1;
                let begun = Instant::now();
                if let Err(panic) = std::panic::catch_unwind(|| run(&input)) {
                    eprintln!("with the input {}", path.display());
                    std::panic::resume_unwind(panic);
                }
                let took = begun.elapsed();
                assert!(took < INPUT_TIME_MAX, "{}: {took:?}", path.display());
            }
        }
        assert!(inputs >= 3, "{target}: {inputs} inputs");
    }
    assert!(bytes <= KEPT_BYTES_MAX, "{bytes} bytes of inputs");
}

#[test]
fn every_target_is_a_program_of_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let listed: BTreeSet<String> = targets::TARGETS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(names(&root.join("targets")), listed);
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for name in &listed {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")));
    }
}

/// Fuzzing without cargo-fuzz: kept inputs are changed at random and run, so many seconds a target.
/// Blind to what the code does with them, so it finds less; it says the input that broke something.
#[test]
#[ignore = "takes minutes: WEIR_FUZZ_SECONDS (60) a target, WEIR_FUZZ_SEED (1), WEIR_FUZZ_TARGET (all)"]
fn long_changed_inputs_break_nothing() {
    let setting = |name: &str, default| {
        let text = std::env::var(name);
        text.map_or(default, |text| text.parse().unwrap())
    };
    let time = Duration::from_secs(setting("WEIR_FUZZ_SECONDS", 60));
    let only = std::env::var("WEIR_FUZZ_TARGET").unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut broken = Vec::new();
    for (target, run) in targets::TARGETS {
        if !only.is_empty() && only != target {
            continue;
        }
        let mut random = fastrand::Rng::with_seed(setting("WEIR_FUZZ_SEED", 1));
        let folder = fs::read_dir(root.join("corpus").join(target)).unwrap();
        let mut inputs: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        let inputs: Vec<_> = inputs.iter().map(|path| fs::read(path).unwrap()).collect();
        let begun = Instant::now();
        let (mut runs, mut slowest) = (0, Duration::ZERO);
        while begun.elapsed() < time {
            let input = changed(&inputs, &mut random);
            let started = Instant::now();
            if std::panic::catch_unwind(|| run(&input)).is_err() {
                broken.push(format!("{target}: \"{}\"", input.escape_ascii()));
                break;
            }
            slowest = slowest.max(started.elapsed());
            if slowest > INPUT_TIME_MAX {
                broken.push(format!(
                    "{target}: {slowest:?}: \"{}\"",
                    input.escape_ascii()
                ));
                break;
            }
            runs += 1;
        }
        let took = begun.elapsed();
        eprintln!("{target}: {runs} runs in {took:.0?}, the slowest {slowest:.0?}");
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// One of the inputs after some changes: bytes, stretches that are left out, doubled or taken from
/// another input, and words that mean something somewhere.
fn changed(inputs: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    const WORDS: [&[u8]; 18] = [
        b"\n",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"=",
        b",",
        b":",
        b" ",
        b"\0",
        b"<",
        b"\xff",
        b"\xef\xbb\xbf",
        b"99999999999999999999",
        b"-1",
        b"1e400",
    ];
    let mut input = inputs[random.usize(..inputs.len())].clone();
    for _ in 0..random.usize(1..8) {
        let length = input.len();
        let from = random.usize(..=length);
        let most = random.usize(1..64);
        let to = (from + random.usize(..=most)).min(length);
        match random.usize(..7) {
            0 if length > 0 => input[from.min(length - 1)] = random.u8(..),
            1 if length > 0 => input[from.min(length - 1)] ^= 1 << random.u8(..8),
            2 => drop(input.drain(from..to)),
            3 => {
                let doubled = input[from..to].to_vec();
                input.splice(from..from, doubled);
            }
            4 => {
                let other = &inputs[random.usize(..inputs.len())];
                let start = random.usize(..=other.len());
                let end = (start + random.usize(..64)).min(other.len());
                input.splice(from..to, other[start..end].iter().copied());
            }
            5 => input.truncate(from.max(length / 2)),
            _ => drop(input.splice(
                from..from,
                WORDS[random.usize(..WORDS.len())].iter().copied(),
            )),
        }
        input.truncate(4096);
    }
    input
}
