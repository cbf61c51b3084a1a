use super::*;

fn masked(message: &str) -> String {
    let mut masker = Masker::new();
    String::from_utf8_lossy(masker.mask(message.as_bytes()).0).into_owned()
}

#[test]
fn show() {
    if let Ok(path) = std::env::var("SHOW") {
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        let mut reader = csv::Reader::from_path(path).unwrap();
        let at = reader
            .headers()
            .unwrap()
            .iter()
            .position(|name| name == "Content")
            .unwrap();
        for row in reader.records() {
            *seen.entry(masked(&row.unwrap()[at])).or_default() += 1;
        }
        for (text, count) in seen {
            println!("{count:5} {text}");
        }
    }
}
