//! Input that is broken, hostile or huge, and a system that refuses: each one ends with the
//! promised exit code, a message that names place and cause, books that balance, and no panic.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Ran, feed, let_pass, run_in, run_with, weir};
use crate::shared;

/// Peak memory that a run may need whatever comes in, in MiB: the limit of issue and design for
/// ordinary work is 64, here a debug build reads what is worst.
const MEMORY_MIB_MAX: u64 = 96;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn skip(reason: &str) {
    // The test framework swallows what eprintln! says; a skipped test must be seen.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {reason}");
}

/// Bytes that look random and are the same on every run (splitmix64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Lines as `wc -l` counts them, plus one without its line feed.
fn lines(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
    ends + u64::from(bytes.last().is_some_and(|&last| last != b'\n'))
}

/// Runs with pieces of input, `times` times `piece`, and gives the peak memory in MiB too. The
/// input is never held in one place, by neither side.
fn fed_with_memory(args: &[&str], piece: &[u8], times: usize, last: &[u8]) -> (Ran, u64) {
    let mut child = weir(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        let memory = scope.spawn(move || {
            let mut peak = 0;
            // The kernel keeps the peak, so a few looks are enough; a dead process has none.
            while let Some(kib) = fs::read_to_string(&status).ok().and_then(|text| {
                let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            }) {
                peak = peak.max(kib);
                let_pass(Duration::from_millis(2));
            }
            peak / 1024
        });
        scope.spawn(move || {
            for _ in 0..times {
                if stdin.write_all(piece).is_err() {
                    return;
                }
            }
            let _ = stdin.write_all(last);
        });
        let ran = Ran::new(child.wait_with_output().unwrap());
        (ran, memory.join().unwrap())
    })
}

// Bytes that are no text.

#[test]
fn any_bytes_go_through_the_filter_as_they_came() {
    let mut bytes = noise(3 << 20);
    bytes.push(b'\n');
    let ran = run_with(["filter", "--multiline", "off"], &bytes).exits(0);
    assert!(ran.stdout == bytes, "binary input was changed");
    // Joined or not, every byte goes out, in order.
    let ran = run_with(["filter"], &bytes).exits(0);
    assert!(ran.stdout == bytes, "binary input was changed by multiline");
}

#[test]
fn b20_naughty_strings_come_back_as_they_were() {
    let own = [
        "undefined",
        "NaN",
        "1e400",
        "-0",
        "0x10",
        "1,000.00",
        "' or 1=1 --",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%n%s%x",
        "`id`",
        "$(id)",
        "../../etc/passwd\0.log",
        "\u{feff}bom",
        "\u{202e}right to left",
        "Z\u{36f}\u{489}algo",
        "\u{1f468}\u{200d}\u{1f469}",
        "\u{1b}[31mred",
        "a\u{2028}b",
        "\u{fffd}\u{ffff}",
        "\t \u{a0}",
        "quote \" and \\ and /",
        "\r\n",
        "<*>",
        "f1:0",
    ];
    let mut strings: Vec<String> = own.map(str::to_owned).to_vec();
    let listed = shared::data().and_then(|data| fs::read(data.join("naughty/blns.json")).ok());
    if let Some(listed) = listed {
        strings.extend(serde_json::from_slice::<Vec<String>>(&listed).unwrap());
    }
    let record = |text: &String| serde_json::json!({ "msg": text, "service": text });
    let mut input = Vec::new();
    for text in &strings {
        writeln!(input, "{}", record(text)).unwrap();
    }
    let ran = run_with(["filter"], &input).exits(0);
    assert!(ran.stdout == input, "lines go out as they came");

    let ran = run_with(["filter", "-o", "json"], &input).exits(0);
    let lines = ran.stdout.split(|&byte| byte == b'\n');
    let lines: Vec<serde_json::Value> = lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), strings.len());
    let sequence = regex::Regex::new("\u{1b}(\\[[ -?]*[@-~]?)?").unwrap();
    for (line, text) in lines.iter().zip(&strings) {
        // Escape sequences (ECMA-48) are no part of a message, the fields keep them; where a message is empty,
        // the keys stand for it.
        let message = match text.as_str() {
            "" => "msg=<*> service=<*>".into(),
            text => sequence.replace_all(text, ""),
        };
        assert_eq!(line["message"], *message);
        assert_eq!(line["fields"], record(text));
    }

    let args = ["--by", "service", "--top", "10000", "-o", "json", "-q"];
    let report = run_with(args, &input).exits(0).json();
    let groups = report["groups"].as_array().unwrap().iter();
    let shown: BTreeSet<&str> = groups
        .map(|group| group["by"]["service"].as_str().unwrap())
        .collect();
    // A value of a key is cut at its limit, and nothing is a value too.
    let short = strings
        .iter()
        .filter(|text| text.len() <= 200 && !text.is_empty());
    for text in short {
        assert!(shown.contains(text.as_str()), "{text:?} is no group");
    }
}

#[test]
fn nul_bytes_and_invalid_text_are_searched_like_all_others() {
    let input = b"\0\0ERROR\0\xff\nfine\n\xc3\x28 ERROR \xed\xa0\x80\n";
    let ran = run_with(["filter", "-m", "ERROR"], input).exits(0);
    assert_eq!(
        ran.stdout,
        b"\0\0ERROR\0\xff\n\xc3\x28 ERROR \xed\xa0\x80\n"
    );
}

#[test]
fn invalid_text_in_json_output_is_replaced_and_kept_beside_as_base64() {
    let ran = run_with(["filter", "-o", "json"], b"k \xff\n").exits(0);
    let line = ran.json();
    assert_eq!(line["raw"], "k \u{fffd}");
    assert_eq!(line["raw_base64"], "ayD/");
}

#[test]
fn a_report_counts_the_lines_of_any_bytes() {
    for bytes in [noise(1 << 20), vec![0; 300_000], vec![b'\n'; 1_000_000]] {
        let report = run_with(["-o", "json", "--multiline", "off"], &bytes)
            .exits(0)
            .json();
        assert_eq!(report["ledger"]["bytes"], bytes.len());
        assert_eq!(report["ledger"]["lines"], lines(&bytes));
        assert_eq!(report["ledger"]["records"], lines(&bytes));
    }
}

#[test]
fn carriage_returns_stay_in_the_output_and_out_of_the_fields() {
    let input = b"{\"level\":\"error\",\"message\":\"a\"}\r\n\r\nb\rc\r\nlast\r";
    let ran = run_with(["filter"], input).exits(0);
    assert_eq!(ran.stdout, [&input[..], b"\n"].concat());
    let ran = run_with(["filter", "-o", "json", "-l", "error"], input).exits(0);
    assert_eq!(ran.json()["message"], "a");
    let report = run_with(["-o", "json"], input).exits(0).json();
    assert_eq!(report["ledger"]["lines"], 4, "a lone CR ends no line");
}

#[test]
fn empty_inputs_are_answered() {
    let folder = folder();
    fs::write(folder.path().join("empty"), b"").unwrap();
    fs::write(folder.path().join("one"), b"\n").unwrap();
    let report = run_in(folder.path(), ["-o", "json", "empty", "one", "empty"])
        .exits(0)
        .json();
    assert_eq!(report["inputs"].as_array().unwrap().len(), 3);
    assert_eq!(report["ledger"]["lines"], 1);
}

// Sizes.

#[test]
fn a_line_of_100_mb_is_cut_and_the_next_one_is_intact() {
    let piece = vec![b'x'; 1 << 20];
    let (ran, memory) =
        fed_with_memory(&["filter", "-v", "-m", "nowhere"], &piece, 100, b"\nnext\n");
    let ran = ran.exits(0);
    assert!(ran.stdout.ends_with(b"\nnext\n"));
    assert!(
        ran.stdout.len() < 2 << 20,
        "{} bytes of a line over its limit",
        ran.stdout.len()
    );
    assert!(memory < MEMORY_MIB_MAX, "{memory} MiB");
    let (ran, _) = fed_with_memory(&["-o", "json"], &piece, 100, b"\nnext\n");
    let ledger = &ran.exits(0).json()["ledger"];
    assert_eq!(ledger["bytes"], (100u64 << 20) + 6);
    assert_eq!(ledger["lines"], 2);
    assert_eq!(ledger["truncated"], 1);
}

#[test]
fn two_hundred_mb_without_a_line_end_need_no_memory() {
    for args in [
        &["-o", "json"][..],
        &["filter", "-o", "json", "-l", "trace"],
    ] {
        let (ran, memory) = fed_with_memory(args, &vec![b'a'; 1 << 20], 200, b"");
        let value = ran.exits(0).json();
        if value.get("ledger").is_some() {
            assert_eq!(value["ledger"]["bytes"], 200u64 << 20);
            assert_eq!(value["ledger"]["truncated"], 1);
        }
        assert!(memory < MEMORY_MIB_MAX, "{memory} MiB with {args:?}");
    }
}

#[test]
fn endless_nul_bytes_and_line_feeds_need_no_memory() {
    for byte in [0, b'\n', b'{', b'<', b'"', b'\t', 0xff] {
        let (ran, memory) = fed_with_memory(&["-o", "json"], &vec![byte; 1 << 20], 16, b"");
        assert_eq!(ran.exits(0).json()["ledger"]["bytes"], 16u64 << 20);
        assert!(memory < MEMORY_MIB_MAX, "{memory} MiB of byte {byte}");
    }
}

#[test]
fn json_of_any_depth_is_read_or_is_text() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 1_000_000;
        let mut line = String::from("{\"level\":\"error\",\"b\":");
        line.push_str(&open.repeat(depth));
        line.push('1');
        line.push_str(&close.repeat(depth));
        line.push_str("}\nERROR after\n");
        let input = line.as_bytes();
        let report = run_with(["-o", "json"], input).exits(0).json();
        assert_eq!(report["ledger"]["lines"], 2);
        let ran = run_with(["filter", "-w", "a.a.a == 1"], input).exits(0);
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn many_distinct_keys_keep_their_exact_total() {
    let mut input = Vec::new();
    for number in 0..1_000_000u64 {
        // Letters, so that no two keys are the same after masking either.
        let mut name = [b'a'; 8];
        let mut rest = number;
        for place in &mut name {
            *place += (rest % 26) as u8;
            rest /= 26;
        }
        input.extend_from_slice(b"{\"user\":\"");
        input.extend_from_slice(&name);
        input.extend_from_slice(b"\",\"latency_ms\":1,\"message\":\"");
        input.extend_from_slice(&name);
        input.extend_from_slice(b" left\",\"level\":\"error\"}\n");
    }
    let args = [
        "-o",
        "json",
        "--top",
        "5",
        "--by",
        "user",
        "--metric",
        "latency_ms",
    ];
    let (ran, memory) = fed_with_memory(&args, &input, 1, b"");
    let report = ran.exits(0).json();
    let total = |rows: &serde_json::Value| -> u64 {
        let rows = rows.as_array().unwrap();
        rows.iter().map(|row| row["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(total(&report["groups"]), 1_000_000);
    let metrics = report["metrics"].as_array().unwrap();
    assert_eq!(metrics[0]["count"], 1_000_000);
    assert_eq!(metrics[0]["sum"].as_f64().unwrap(), 1e6);
    assert_eq!(total(&metrics[1..].to_vec().into()), 1_000_000);
    let approximate = report["approximate"].to_string();
    assert!(approximate.contains("groups"), "{approximate}");
    assert_eq!(report["levels"]["error"], 1_000_000);
    // Several tables are full at once here; each has its limit.
    assert!(memory < 3 * MEMORY_MIB_MAX, "{memory} MiB");
}

// Time that an attacker would like to take. Ratios, with bounds that a busy machine keeps.

fn seconds(args: &[&str], input: &[u8]) -> f64 {
    let run = || {
        let started = Instant::now();
        run_with(args, input).exits(0);
        started.elapsed().as_secs_f64()
    };
    run().min(run()).max(0.02)
}

#[test]
fn keys_that_collide_under_a_plain_hash_cost_no_more_than_others() {
    // Multiplying hashes (FxHash) of eight-byte words only let high bits move high bits: keys that
    // differ in the last byte of each word alone fall into few buckets.
    let keys = |varied: fn(u32) -> [u8; 24]| {
        let mut input = Vec::new();
        for number in 0..200_000 {
            input.extend_from_slice(b"{\"k\":\"");
            input.extend_from_slice(&varied(number));
            input.extend_from_slice(b"\"}\n");
        }
        input
    };
    let hostile = keys(|number| {
        let mut key = [b'a'; 24];
        for (word, shift) in [(7, 0), (15, 6), (23, 12)] {
            key[word] = 0x30 + ((number >> shift) & 63) as u8;
        }
        key.map(|byte| {
            if matches!(byte, b'"' | b'\\') {
                b'~'
            } else {
                byte
            }
        })
    });
    let random = keys(|number| {
        let mut key = [b'a'; 24];
        let mut state = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for place in &mut key {
            *place = b'a' + (state % 26) as u8;
            state = state.rotate_left(11).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        key
    });
    let args = ["-o", "json", "--top", "1", "--by", "k"];
    let ratio = seconds(&args, &hostile) / seconds(&args, &random);
    assert!(ratio < 3.0, "colliding keys take {ratio:.1} times as long");
}

#[test]
fn patterns_that_blow_up_elsewhere_take_linear_time() {
    let line = |length: usize| [vec![b'a'; length], b"!\n".to_vec()].concat();
    let args = ["filter", "-c", "-w", "message =~ \"(a+)+$\""];
    let (short, long) = (line(100_000), line(800_000));
    let ratio = seconds(&args, &long) / seconds(&args, &short);
    assert!(
        ratio < 40.0,
        "eight times the text takes {ratio:.1} times as long"
    );
}

#[test]
fn huge_patterns_and_lookaround_are_refused_in_words() {
    run_with(["filter", "-w", "message =~ \"(?=a)b\""], b"")
        .exits(2)
        .says("-w");
    run_with(["filter", "-w", "message =~ \"(a{1000}){1000}\""], b"")
        .exits(2)
        .says("-w");
    run_with(["filter", "--multiline", "(a{1000}){1000}"], b"")
        .exits(2)
        .says("--multiline");
    // Deep expressions must not end the stack.
    let deep = format!("{}a == 1{}", "(".repeat(50_000), ")".repeat(50_000));
    run_with(["filter", "-w", &deep], b"").exits(2).says("-w");
    let deep = format!("{}a == 1", "not ".repeat(30_000));
    let ran = run_with(["filter", "-w", &deep], b"x\n");
    assert!(matches!(ran.code, 0 | 2));
}

// Files that are not what they should be.

#[test]
fn missing_files_and_directories_do_not_keep_others_from_being_read() {
    let folder = folder();
    fs::write(folder.path().join("a.log"), b"ERROR a\n").unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let ran = run_in(
        folder.path(),
        ["filter", "none.log", "a.log", "logs", "a.log/b"],
    )
    .exits(66)
    .says("none.log: no such file")
    .says("logs: holds no file to read")
    .says("a.log/b: ");
    assert_eq!(ran.stdout, b"ERROR a\n");
    let ran = run_in(folder.path(), ["-o", "json", "a.log", "none.log"]).exits(66);
    assert_eq!(ran.json()["ledger"]["records"], 1);
}

#[test]
fn what_cannot_be_read_is_named_and_the_larger_exit_code_wins() {
    let folder = folder();
    fs::write(folder.path().join("a.log"), b"ERROR a\n").unwrap();
    // The kernel refuses to read the memory at address 0 for everybody, root included.
    let ran = run_in(
        folder.path(),
        ["filter", "/proc/self/mem", "none.log", "a.log"],
    )
    .exits(74)
    .says("/proc/self/mem: ")
    .says("none.log: no such file");
    assert_eq!(ran.stdout, b"ERROR a\n");
}

#[test]
fn a_file_without_rights_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = folder.path().join("secret.log");
    fs::write(&path, b"ERROR a\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return skip("root may read every file");
    }
    run_in(folder.path(), ["filter", "secret.log"])
        .exits(74)
        .says("secret.log: permission denied");
}

#[test]
fn a_symbolic_link_to_itself_ends() {
    let folder = folder();
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
    run_in(folder.path(), ["filter", "loop"])
        .exits(74)
        .says("loop: ");
}

#[test]
fn names_of_any_bytes_are_files_like_others() {
    let folder = folder();
    let long = "n".repeat(255);
    let names: Vec<OsString> = [
        &b"new\nline"[..],
        b"\xff\xfe not text",
        b"-rf",
        b"*.log",
        b"\x1b[2J",
        b"\xe2\x80\xaegol.tfel",
        long.as_bytes(),
    ]
    .iter()
    .map(|name| OsString::from_vec(name.to_vec()))
    .collect();
    for name in &names {
        fs::write(folder.path().join(name), b"ERROR a\n").unwrap();
    }
    let args: Vec<&OsStr> = ["filter", "--"]
        .map(OsStr::new)
        .into_iter()
        .chain(names.iter().map(OsString::as_os_str))
        .collect();
    let ran = run_in(folder.path(), &args).exits(0);
    assert_eq!(ran.stdout, b"ERROR a\n".repeat(names.len()));
    let args = ["-o", "json", "--"].map(OsStr::new).into_iter();
    let args = args.chain(names.iter().map(OsString::as_os_str));
    let report = run_in(folder.path(), args).exits(0).json();
    assert_eq!(report["inputs"].as_array().unwrap().len(), names.len());
    assert_eq!(report["inputs"][0]["name"], "new\nline");
    // A missing file with such a name does not reach the terminal as it is.
    let missing = OsStr::from_bytes(b"none\x1b]0;x\x07");
    let ran = run_in(folder.path(), [OsStr::new("filter"), missing]).exits(66);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
}

#[test]
fn a_file_named_twice_is_read_twice() {
    let folder = folder();
    fs::write(folder.path().join("a.log"), b"ERROR a\n").unwrap();
    let ran = run_in(
        folder.path(),
        std::iter::once("filter").chain(["a.log"; 10]),
    )
    .exits(0);
    assert_eq!(ran.stdout, b"ERROR a\n".repeat(10));
    let report = run_in(
        folder.path(),
        ["-o", "json"].into_iter().chain(["a.log"; 10]),
    )
    .exits(0)
    .json();
    assert_eq!(report["ledger"]["records"], 10);
    assert_eq!(report["inputs"].as_array().unwrap().len(), 10);
}

#[test]
fn a_fifo_with_a_slow_writer_is_read_to_its_end() {
    let folder = folder();
    let path = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("no mkfifo");
    }
    let mut child = weir(["filter", "-m", "ERROR", "fifo"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = fs::File::options().write(true).open(&path).unwrap();
    let mut stdout = child.stdout.take().unwrap();
    writer.write_all(b"ERROR on").unwrap();
    // Longer than any quiet time that would end a line.
    let_pass(Duration::from_millis(700));
    writer.write_all(b"e\nINFO\nERROR two\n").unwrap();
    // What is whole comes out while the writer is still there.
    let mut first = [0; 20];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"ERROR one\nERROR two\n");
    writer.write_all(b"ERROR three").unwrap();
    drop(writer);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"ERROR three\n");
    Ran::new(child.wait_with_output().unwrap()).exits(0);
}

// Compressed files.

#[test]
fn compressed_files_are_read_as_they_are() {
    let folder = folder();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
    write("two.gz", [gzip(b"ERROR a\n"), gzip(b"ERROR b\n")].concat());
    write("one.zst", zstd::encode_all(&b"ERROR c\n"[..], 1).unwrap());
    write("plain.gz", b"ERROR d\n".to_vec());
    let ran = run_in(folder.path(), ["filter", "two.gz", "one.zst", "plain.gz"]).exits(0);
    assert_eq!(ran.stdout, b"ERROR a\nERROR b\nERROR c\nERROR d\n");
    let input = gzip(&b"ERROR e\n".repeat(100_000));
    let ran = run_with(["filter", "-c"], &input).exits(0);
    assert_eq!(ran.stdout, b"100000\n");
    let zipped = zstd::encode_all(&b"ERROR e\n".repeat(100_000)[..], 1).unwrap();
    let ran = run_with(["filter", "-c", "-m", "ERROR"], &zipped).exits(0);
    assert_eq!(ran.stdout, b"100000\n");
}

#[test]
fn what_a_truncated_gz_still_holds_is_counted_and_the_damage_named() {
    let folder = folder();
    let mut text = Vec::new();
    for number in 0..50_000u64 {
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text.extend_from_slice(format!("ERROR line {number} {noise:x}\n").as_bytes());
    }
    let mut bytes = gzip(&text);
    bytes.truncate(bytes.len() / 2);
    fs::write(folder.path().join("cut.gz"), bytes).unwrap();
    fs::write(folder.path().join("a.log"), b"ERROR a\n").unwrap();
    let ran = run_in(folder.path(), ["filter", "cut.gz", "a.log"])
        .exits(74)
        .says("cut.gz: ")
        .says("too early");
    let kept = ran
        .stdout
        .strip_suffix(b"ERROR a\n")
        .expect("the other file is read");
    // The last line is torn, so it got a line feed of its own.
    let torn = kept.strip_suffix(b"\n").unwrap();
    assert!(kept.len() > text.len() / 4 && text.starts_with(torn));
    let report = run_in(folder.path(), ["-o", "json", "cut.gz"])
        .exits(74)
        .json();
    assert_eq!(report["ledger"]["lines"], lines(kept));
}

#[test]
fn junk_behind_a_gz_member_is_named() {
    let folder = folder();
    let bytes = [gzip(b"ERROR a\n"), b"junk behind".to_vec()].concat();
    fs::write(folder.path().join("a.gz"), bytes).unwrap();
    let ran = run_in(folder.path(), ["filter", "a.gz"])
        .exits(74)
        .says("a.gz: ");
    assert_eq!(ran.stdout, b"ERROR a\n");
}

#[test]
fn a_decompression_bomb_is_stopped() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..400 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let folder = folder();
    fs::write(folder.path().join("bomb.gz"), &bomb).unwrap();
    let report = run_in(folder.path(), ["-o", "json", "bomb.gz"])
        .exits(74)
        .says("bomb.gz: ")
        .says("bomb")
        .json();
    assert!(report["ledger"]["bytes"].as_u64().unwrap() < 400 << 20);
    let (ran, memory) = fed_with_memory(&["filter", "-c"], &bomb, 1, b"");
    ran.exits(74).says("bomb");
    assert!(memory < MEMORY_MIB_MAX, "{memory} MiB");
}

// An output that refuses.

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    for args in [&["filter", "-m", "ERROR"][..], &["filter", "-o", "json"]] {
        let mut child = weir(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            let piece = b"ERROR a line of some length\n".repeat(10_000);
            while stdin.write_all(&piece).is_ok() {}
        });
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 8]).unwrap();
        drop(stdout);
        let ran = Ran::new(child.wait_with_output().unwrap()).exits(0);
        assert_eq!(ran.stderr, "");
        writer.join().unwrap();
    }
}

#[test]
fn a_report_to_a_closed_pipe_is_a_quiet_end() {
    let mut child = weir(["-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"ERROR a\n").unwrap();
    let ran = Ran::new(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(ran.stderr, "");
}

fn full() -> Option<fs::File> {
    let full = fs::File::options().write(true).open("/dev/full").ok();
    if full.is_none() {
        skip("no /dev/full");
    }
    full
}

#[test]
fn a_full_disk_is_named_with_the_output() {
    let input = b"ERROR a line\n".repeat(200_000);
    for args in [
        &["filter"][..],
        &["filter", "-c"],
        &["-o", "json"],
        &["filter", "--dedup", "exact", "-o", "json"],
    ] {
        let Some(full) = full() else { return };
        let mut child = weir(args)
            .stdin(Stdio::piped())
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let ran = std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = stdin.write_all(&input);
                drop(stdin);
            });
            Ran::new(child.wait_with_output().unwrap())
        });
        ran.exits(74).says("standard output").says("No space left");
        let to = [args, &["-O", "/dev/full"]].concat();
        run_with(to, &input)
            .exits(74)
            .says("/dev/full")
            .says("No space left");
    }
}

#[test]
fn a_small_file_system_that_fills_up_is_named() {
    let folder = folder();
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" || exit 99; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    let out = folder.path().join("out.log");
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(env!("CARGO_BIN_EXE_weir"))
        .args(["filter", "-O"])
        .arg(&out);
    if Command::new("unshare")
        .args(["-m", "true"])
        .output()
        .is_err()
    {
        return skip("no unshare");
    }
    let ran = feed(&mut command, &b"ERROR a line\n".repeat(100_000));
    if ran.code == 99 || ran.stderr.starts_with("unshare:") {
        return skip("no right to mount a file system");
    }
    ran.exits(74).says("out.log").says("No space left");
}

#[test]
fn a_file_size_limit_is_an_error_like_a_full_disk() {
    let folder = folder();
    let script = "ulimit -f 1; exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_weir")])
        .args(["filter", "-O", "out.log"])
        .current_dir(folder.path());
    feed(&mut command, &b"ERROR a line\n".repeat(100_000))
        .exits(74)
        .says("out.log")
        .says("File too large");
}

#[test]
fn an_output_that_cannot_be_made_is_named() {
    let ran = run_with(["filter", "-O", "/nowhere/out.log"], b"ERROR\n");
    ran.exits(74).says("/nowhere/out.log");
    let ran = run_with(["--snapshot", "/nowhere/s.weir"], b"ERROR\n");
    ran.exits(74).says("/nowhere/s.weir");
}

#[test]
fn a_full_or_closed_standard_error_stops_nothing() {
    let Some(full) = full() else { return };
    let output = weir(["filter", "none.log"]).stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(66));
    let Some(full) = self::full() else { return };
    let output = weir(["filter", "--tz", "Nowhere"])
        .stderr(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$@\" 2>&-", "sh", env!("CARGO_BIN_EXE_weir")])
        .args(["filter", "none.log", "-"]);
    let ran = feed(&mut command, b"ERROR a\n").exits(66);
    assert_eq!(ran.stdout, b"ERROR a\n");
}

// Terminals.

/// Runs on a terminal of its own and gives all that the terminal got; `None` without script(1).
fn on_terminal(arguments: &str, input: &Path) -> Option<Vec<u8>> {
    let command = format!(
        "'{}' {arguments} < '{}'",
        env!("CARGO_BIN_EXE_weir"),
        input.display()
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::null())
        .env("TZ", "UTC")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .output();
    match output {
        Ok(output) => Some(output.stdout),
        Err(_) => {
            skip("no script(1) to make a terminal");
            None
        }
    }
}

#[test]
fn escapes_of_the_input_never_reach_a_terminal() {
    let folder = folder();
    let path = folder.path().join("in");
    let hostile = b"2026-03-14T09:00:00Z ERROR \x1b]0;title\x07 \x1b[2J \x1b]52;c;aGk=\x07 \xc2\x9b31m \xe2\x80\xaeevil \rover\n";
    fs::write(&path, hostile).unwrap();
    for arguments in [
        "filter",
        "--color never",
        "filter -o json",
        "-o json",
        "filter --tz '\x1b[2J'",
    ] {
        let Some(screen) = on_terminal(arguments, &path) else {
            return;
        };
        assert!(!screen.is_empty(), "{arguments} says nothing");
        let text = String::from_utf8_lossy(&screen);
        // A terminal ends lines with CR LF itself.
        let text = text.replace("\r\n", "\n");
        for character in ['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\r'] {
            assert!(
                !text.contains(character),
                "{arguments}: {character:?} in {text:?}"
            );
        }
    }
    let raw = on_terminal("filter --raw", &path).unwrap();
    assert!(raw.contains(&0x1b), "--raw lets them through");
    let piped = run_with(["filter"], hostile).exits(0);
    assert_eq!(piped.stdout, hostile, "to a pipe bytes go as they are");
}

#[test]
fn a_field_cannot_forge_a_line() {
    let input = b"{\"time\":\"2026-03-14T09:00:00Z\",\"level\":\"error\",\"message\":\"a\\nERROR forged\"}\n";
    let ran = run_with(["filter", "-o", "json"], input).exits(0);
    assert_eq!(lines(&ran.stdout), 1);
    let ran = run_with(
        ["filter", "--dedup", "message", "--every", "1h"],
        &input.repeat(3),
    )
    .exits(0);
    assert_eq!(lines(&ran.stdout), 2);
}
