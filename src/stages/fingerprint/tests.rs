use super::*;
use proptest::prelude::*;

/// `\n`, `\t`, `\\` and `\xHH` of the vectors in the document.
fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&code, after) = rest.split_first().unwrap();
        rest = after;
        bytes.push(match code {
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let (hex, after) = rest.split_at(2);
                rest = after;
                u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap()
            }
            _ => panic!("unknown escape in {line}"),
        });
    }
    bytes
}

#[test]
fn does_what_the_document_says() {
    let document = include_str!("../../../docs/fingerprint.md");
    let (_, vectors) = document.split_once("```vectors\n").unwrap();
    let (vectors, _) = vectors.split_once("\n```").unwrap();
    let mut masker = Masker::new();
    let mut count = 0;
    for vector in vectors.split("\n\n") {
        let lines: Vec<&str> = vector.lines().collect();
        let [message, masked, fingerprint] = lines[..] else {
            panic!("a vector has three lines: {vector}")
        };
        let (text, got) = masker.mask(&unescaped(message));
        assert_eq!(
            String::from_utf8_lossy(text),
            String::from_utf8_lossy(&unescaped(masked)),
            "{message}"
        );
        assert_eq!(got.to_string(), fingerprint, "{message}");
        count += 1;
    }
    assert!(count >= 40, "{count} vectors");
}

#[test]
fn looks_at_the_first_8_kib_only() {
    let mut masker = Masker::new();
    let mut message = b"a b ".repeat(MESSAGE_BYTES_MAX / 4);
    let short = masker.mask(&message).1;
    message.extend_from_slice(b"tail 7");
    assert_eq!(masker.mask(&message).1, short);
}

/// Text that is likely to reach every rule: the bytes that open, join and close values.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "a",
        "Z",
        "7",
        "0x",
        "fe",
        ".",
        ":",
        "::",
        "=",
        "\"",
        "'",
        "`",
        "@",
        " ",
        "  ",
        "-",
        "+",
        "_",
        "/",
        "\\",
        "%",
        ",",
        "(",
        ")",
        "()",
        "<*>",
        "\n",
        "\tat a.B(",
        "Jun",
        "Fri",
        "KB",
        "com",
        "µs",
        "\u{0}",
        "File \"x\", in f",
        "Caused by: X",
    ]);
    let text = prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![text, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Masking keeps no memory of the message before, and never grows a message by more than
    /// a mask for each byte.
    #[test]
    fn is_a_pure_function_of_the_bytes(first in messages(), second in messages()) {
        let mut used = Masker::new();
        used.mask(&first);
        let (text, fingerprint) = used.mask(&second);
        let mut fresh = Masker::new();
        prop_assert_eq!((text, fingerprint), fresh.mask(&second));
        prop_assert!(text.len() <= 3 * second.len() + 3 + second.len());
        prop_assert_eq!(fingerprint, Fingerprint::of_masked(text));
    }

    /// The number itself never shows.
    #[test]
    fn the_same_message_with_other_numbers_is_the_same(words in "[a-z]{1,8} [a-z]{1,8}", one in 0u64.., other in 0u64..) {
        let mut masker = Masker::new();
        let a = masker.mask(format!("{words} {one} of {other}").as_bytes()).1;
        let b = masker.mask(format!("{words} {other} of {one}").as_bytes()).1;
        prop_assert_eq!(a, b);
    }
}
