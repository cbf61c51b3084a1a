use super::*;
use crate::stages::fingerprint::Masker;
use proptest::prelude::*;
use std::collections::HashMap as StdHashMap;
use std::path::PathBuf;

const SYSTEMS: [&str; 8] = [
    "Apache",
    "HDFS",
    "Hadoop",
    "Linux",
    "OpenSSH",
    "OpenStack",
    "Spark",
    "Zookeeper",
];

fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("WEIR_SHARED_DATA").map(PathBuf::from);
    let folder = folder
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")));
    if folder.join("loghub").is_dir() {
        return Some(folder);
    }
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("skipped: no {} (set WEIR_SHARED_DATA)\n", folder.display()),
    );
    None
}

/// One column of a CSV file with header.
fn column(path: PathBuf, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let at = reader
        .headers()
        .unwrap()
        .iter()
        .position(|header| header == name)
        .unwrap();
    reader
        .records()
        .map(|row| row.unwrap()[at].to_owned())
        .collect()
}

/// The share of lines whose group is exactly the set of lines of a true group.
fn grouping_accuracy(groups: &[String], truth: &[String]) -> f64 {
    fn lines_of(keys: &[String]) -> StdHashMap<&str, Vec<usize>> {
        let mut lines = StdHashMap::<&str, Vec<usize>>::new();
        for (line, key) in keys.iter().enumerate() {
            lines.entry(key).or_default().push(line);
        }
        lines
    }
    let truth_lines = lines_of(truth);
    let right: usize = lines_of(groups)
        .values()
        .filter(|lines| truth_lines[truth[lines[0]].as_str()] == **lines)
        .map(Vec::len)
        .sum();
    right as f64 / groups.len() as f64
}

#[test]
fn groups_the_lines_of_loghub_like_their_truth() {
    let Some(folder) = shared_data() else { return };
    let mut sums = [0.0, 0.0];
    let mut worst: f64 = 1.0;
    for system in SYSTEMS {
        let file = |name: &str| folder.join(format!("loghub/{system}/{system}_2k.{name}.csv"));
        let contents = column(file("log_structured"), "Content");
        let truths = [
            column(file("log_structured"), "EventId"),
            column(file("corrected_events"), "EventId"),
        ];
        let mut masker = Masker::new();
        let masked: Vec<(Fingerprint, Vec<u8>)> = contents
            .iter()
            .map(|content| {
                let (text, fingerprint) = masker.mask(content.as_bytes());
                (fingerprint, text.to_vec())
            })
            .collect();
        let templates = cluster(
            masked
                .iter()
                .map(|(fingerprint, text)| (*fingerprint, text.as_slice())),
        );
        let groups: Vec<String> = masked
            .iter()
            .map(|(fingerprint, _)| {
                let template = templates.template(*fingerprint).unwrap();
                format!(
                    "{} {}",
                    template.members[0],
                    String::from_utf8_lossy(&template.text)
                )
            })
            .collect();
        let accuracy = truths
            .each_ref()
            .map(|truth| grouping_accuracy(&groups, truth));
        eprintln!(
            "{system:10} original {:.3} corrected {:.3}, {} templates",
            accuracy[0],
            accuracy[1],
            templates.len()
        );
        if std::env::var_os("SHOW_DIFFERENCES").is_some() {
            show_differences(&groups, &truths[0], &contents);
        }
        worst = worst.min(accuracy[0]);
        sums[0] += accuracy[0] / 8.0;
        sums[1] += accuracy[1] / 8.0;
    }
    eprintln!(
        "{:10} original {:.3} corrected {:.3}",
        "mean", sums[0], sums[1]
    );
    assert!(sums[0] >= 0.97 && worst >= 0.80, "{sums:?}, worst {worst}");
}

fn show_differences(groups: &[String], truth: &[String], contents: &[String]) {
    let mut table = std::collections::BTreeMap::<(&str, &str), (usize, &str)>::new();
    for ((group, truth), content) in groups.iter().zip(truth).zip(contents) {
        table.entry((truth, group)).or_insert((0, content)).0 += 1;
    }
    for (&(truth, group), (count, content)) in &table {
        let split = table.keys().filter(|key| key.0 == truth).count() > 1;
        let merged = table.keys().filter(|key| key.1 == group).count() > 1;
        if split || merged {
            let kind = match (split, merged) {
                (true, false) => "split",
                (false, true) => "merged",
                _ => "both",
            };
            eprintln!("  {kind:6} {truth:4} {count:4} {group} ||| {content}");
        }
    }
}

fn clustered(texts: &[&str]) -> Templates {
    cluster(
        texts
            .iter()
            .map(|text| (Fingerprint::of_masked(text.as_bytes()), text.as_bytes())),
    )
}

fn texts(templates: &Templates) -> Vec<String> {
    templates
        .iter()
        .map(|template| String::from_utf8_lossy(&template.text).into_owned())
        .collect()
}

fn check(messages: &[&str], want: &[&str]) {
    assert_eq!(texts(&clustered(messages)), want);
}

#[test]
fn three_values_in_one_place_are_a_value() {
    check(
        &[
            "session closed for user bob",
            "session closed for user eve",
            "session closed for user ann",
        ],
        &["session closed for user <*>"],
    );
    check(
        &["session closed for user bob", "session closed for user eve"],
        &["session closed for user bob", "session closed for user eve"],
    );
    check(
        &["user 'bob', new", "user 'eve', new", "user 'ann', new"],
        &["user 'ann', new", "user 'bob', new", "user 'eve', new"],
    );
    check(
        &[
            "a user 'bob', new here",
            "a user 'eve', new here",
            "a user 'ann', new here",
        ],
        &["a user '<*>', new here"],
    );
}

#[test]
fn masks_and_paths_need_no_third() {
    check(
        &["open file /a/b failed", "open file /c failed"],
        &["open file <*> failed"],
    );
    check(
        &["peer <*> () is gone", "peer <*> (<*>) is gone"],
        &["peer <*> (<*>) is gone"],
    );
}

#[test]
fn names_with_a_number_are_values() {
    check(
        &[
            "Block rdd_<*> stored in memory",
            "Block broadcast_<*> stored in memory",
        ],
        &["Block <*> stored in memory"],
    );
    check(
        &["disk<*> failed", "fan<*> failed"],
        &["disk<*> failed", "fan<*> failed"],
    );
}

/// Every path of an access log fell into one row, so that no row said which URL failed.
#[test]
fn requests_keep_their_path() {
    let requests: Vec<String> = (b'a'..=b'z')
        .flat_map(|letter| [404, 500].map(|status| format!("GET /{} {status}", letter as char)))
        .collect();
    let mut want = requests.clone();
    want.sort();
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    assert_eq!(texts(&clustered(&requests)), want);
}

#[test]
fn states_and_actions_are_no_values() {
    for words in [
        ["UP", "DOWN", "LOST"],
        ["Started", "Stopped", "Paused"],
        ["opening", "closing", "waiting"],
    ] {
        let messages = words.map(|word| format!("the machine web is {word}"));
        let templates = clustered(&messages.each_ref().map(String::as_str));
        assert_eq!(templates.len(), 3, "{words:?}");
    }
}

#[test]
fn short_messages_keep_the_word_that_tells_them_apart() {
    check(
        &[
            "cron startup succeeded",
            "sshd startup succeeded",
            "ntpd startup succeeded",
        ],
        &[
            "cron startup succeeded",
            "ntpd startup succeeded",
            "sshd startup succeeded",
        ],
    );
}

#[test]
fn values_that_change_together_are_found() {
    check(
        &[
            "registering class Alpha for class Aardvark",
            "registering class Beta for class Bear",
            "registering class Gamma for class Goat",
        ],
        &["registering class <*> for class <*>"],
    );
}

#[test]
fn covers_new_messages_with_the_template_of_fewest_values() {
    let messages = [
        "session closed for user bob",
        "session closed for user eve",
        "session closed for user ann",
        "session closed for ever and ever",
    ];
    let templates = clustered(&messages);
    let covered = |text: &str| {
        templates
            .cover(text.as_bytes())
            .map(String::from_utf8_lossy)
    };
    assert_eq!(
        covered("session closed for user zoe").as_deref(),
        Some("session closed for user <*>")
    );
    assert_eq!(
        covered("session closed for ever and ever").as_deref(),
        Some("session closed for ever and ever")
    );
    assert_eq!(covered("session opened for user zoe"), None);
    for message in messages {
        let own = templates
            .of(Fingerprint::of_masked(message.as_bytes()))
            .unwrap();
        assert_eq!(templates.cover(message.as_bytes()), Some(own));
    }
}

#[test]
fn an_empty_set_and_empty_messages_are_fine() {
    assert!(clustered(&[]).is_empty());
    check(&["", "a"], &["", "a"]);
    assert_eq!(clustered(&[]).cover(b"a b"), None);
}

/// Sets that would be slow with pairwise comparison; the bound is far above what is measured
/// (about a second for all in an unoptimised build).
#[test]
fn hostile_sets_take_linear_time() {
    let word = |number: u64| format!("w{:x}", (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let long: Vec<String> = (0..20)
        .map(|row| {
            (0..10_000)
                .map(|at| word(row * 10_000 + at) + " ")
                .collect()
        })
        .collect();
    let unique: Vec<String> = (0..20_000u64)
        .map(|row| (0..8).map(|at| word(row * 8 + at) + " ").collect())
        .collect();
    let grid: Vec<String> = (0..20_000u64)
        .map(|row| {
            format!(
                "a {} b {} c {} d",
                word(row % 20),
                word(row / 20 % 20),
                word(row / 400)
            )
        })
        .collect();
    let started = std::time::Instant::now();
    for (set, want) in [(long, 20), (unique, 20_000), (grid, 1)] {
        let templates = clustered(&set.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(templates.len(), want);
    }
    let took = started.elapsed();
    assert!(took.as_secs() < 60, "{took:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A pure function of the set: order and repetition play no part.
    #[test]
    fn order_and_counts_play_no_part(
        (set, shuffled) in prop::collection::vec("(open|shut|user|GET|<\\*>|/a/b|x=<\\*>|eve|bob|ann|at)( (the|in|user|<\\*>|/c|eve|bob|ann|of|was|now)){0,6}", 0..60)
            .prop_flat_map(|set| (Just(set.clone()), Just([set.clone(), set].concat()).prop_shuffle()))
    ) {
        let one = clustered(&set.iter().map(String::as_str).collect::<Vec<_>>());
        let other = clustered(&shuffled.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(one.iter().eq(other.iter()));
        for text in &set {
            let fingerprint = Fingerprint::of_masked(text.as_bytes());
            prop_assert!(one.members(fingerprint).unwrap().contains(&fingerprint));
            prop_assert!(one.cover(text.as_bytes()).is_some());
            prop_assert_eq!(one.cover(text.as_bytes()), other.cover(text.as_bytes()));
        }
    }
}
