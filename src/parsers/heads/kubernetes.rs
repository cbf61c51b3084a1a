//! Heads of Kubernetes' tools: `kubectl logs --prefix` (`[pod/NAME/CONTAINER] `), stern (`POD
//! CONTAINER `, with a namespace before), kubetail (`[POD CONTAINER] `), and the labels that `logcli`
//! and Loki write before a line.

use super::{Head, Part, Sureness, name_len, skip_blanks};
use crate::parsers::start;

/// `[pod/api-7d9f/api] `
pub fn pod_prefix(record: &[u8]) -> Option<Head> {
    if let Some(rest) = record.strip_prefix(b"[pod/") {
        let len = name_len(rest);
        let slash = rest[..len].iter().position(|&byte| byte == b'/')?;
        if rest.get(len) != Some(&b']') || slash + 1 == len {
            return None;
        }
        return Some(
            Head::new("kubectl", after(record, 5 + len + 1), Sureness::Sure)
                .with(Part::Pod, 5..5 + slash)
                .with(Part::Container, 5 + slash + 1..5 + len),
        );
    }
    // kubetail: `[api-7d9f6c5b8-abcde] ` or with the container behind a blank.
    let pod = name_len(&record[1..]);
    if !is_pod(&record[1..1 + pod]) {
        return None;
    }
    let mut head = Head::new("kubetail", 0, Sureness::Sure).with(Part::Pod, 1..1 + pod);
    let mut close = 1 + pod;
    if record.get(close) == Some(&b' ') {
        let container = name_len(&record[close + 1..]);
        head = head.with(Part::Container, close + 1..close + 1 + container);
        close += 1 + container;
    }
    if record.get(close) != Some(&b']') {
        return None;
    }
    head.len = after(record, close + 1);
    Some(head)
}

/// `api-7d9f6c5b8-abcde api `, perhaps with a namespace before. A pod of a deployment is told by its
/// two hashes; other pods count only before a structured record.
pub fn stern(record: &[u8], len: usize) -> Option<Head> {
    let word = |from: usize| from..from + name_len(&record[from.min(record.len())..]);
    let is_name = |word: &[u8]| {
        !word.is_empty()
            && word.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
            })
    };
    let first = 0..len;
    if !is_name(&record[first.clone()]) {
        return None;
    }
    let second = word(len + 1);
    if record.get(second.end) != Some(&b' ') || !is_name(&record[second.clone()]) {
        return None;
    }
    let third = word(second.end + 1);
    let (namespace, pod, container) = if is_pod(&record[first.clone()]) {
        (None, first, second)
    } else if record.get(third.end) == Some(&b' ') && is_pod(&record[second.clone()]) {
        (Some(first), second, third)
    } else {
        // `db-0 postgres `
        let ordinal = record[first.clone()]
            .iter()
            .rposition(|&byte| byte == b'-')
            .is_some_and(|dash| record[dash + 1..len].iter().any(u8::is_ascii_digit));
        let body = &record[second.end + 1..];
        if !ordinal || !start::is_hard_start(body) {
            return None;
        }
        return Some(
            Head::new("stern", second.end + 1, Sureness::BeforeStructure)
                .with(Part::Pod, first)
                .with(Part::Container, second),
        );
    };
    let mut head = Head::new("stern", container.end + 1, Sureness::Sure)
        .with(Part::Pod, pod)
        .with(Part::Container, container);
    if let Some(namespace) = namespace {
        head = head.with(Part::Namespace, namespace);
    }
    Some(head)
}

/// Whether a name is that of a deployment's pod: `NAME-HASH-abcde`, the hash of eight to ten
/// characters with a digit, the end of five.
fn is_pod(name: &[u8]) -> bool {
    let mut parts = name.rsplit(|&byte| byte == b'-');
    let (Some(end), Some(hash), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let safe = |part: &[u8]| {
        part.iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    end.len() == 5
        && (8..=10).contains(&hash.len())
        && safe(end)
        && safe(hash)
        && hash.iter().any(u8::is_ascii_digit)
}

/// `{pod="api-1", app="shop"} `
pub fn labels(record: &[u8]) -> Option<Head> {
    let window = &record[..record.len().min(1024)];
    let name = window[1..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    if window.get(1 + name..3 + name) != Some(b"=\"") {
        return None;
    }
    let close = window.windows(2).position(|pair| pair == b"\"}")? + 1;
    let blank = matches!(record.get(close + 1), Some(b' ' | b'\t'));
    if !blank || window[..close].contains(&b'\n') {
        return None;
    }
    let mut head = Head::new("labels", skip_blanks(record, close + 1), Sureness::Sure);
    head.pairs = Some(1..close);
    Some(head)
}

/// Behind one blank.
fn after(record: &[u8], at: usize) -> usize {
    at + usize::from(record.get(at) == Some(&b' '))
}
