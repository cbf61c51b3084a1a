use super::*;
use crate::stages::fingerprint::Masker;
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
    eprintln!("skipped: no {} (set WEIR_SHARED_DATA)", folder.display());
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
    assert!(sums[0] >= 0.92 && worst >= 0.70, "{sums:?}, worst {worst}");
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
