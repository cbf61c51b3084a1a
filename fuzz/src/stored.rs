//! What a disk gives back: snapshots, checkpoints and journals with any content. The checksum is made
//! to fit, so that what is behind it is reached.

use logweir::disk::real::Real;
use logweir::state::snapshot;
use logweir::store::{checkpoint, journal};

use super::records::page;

/// What can be decoded can be reported, merged and encoded again; what cannot be is an error.
pub fn stored(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => snapshots(rest),
        1 => checkpoints(rest),
        _ => journals(rest),
    }
}

fn snapshots(body: &[u8]) {
    let mut bytes = b"weirsnp1".to_vec();
    bytes.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    bytes.extend_from_slice(body);
    if let Ok(state) = snapshot::decode(&bytes) {
        let _ = page(&state);
        let mut twice = state.clone();
        twice.merge(&state);
        let _ = page(&twice);
        let again = snapshot::decode(&snapshot::encode(&state)).expect("a whole snapshot");
        assert_eq!(snapshot::encode(&again), snapshot::encode(&state));
    }
}

fn checkpoints(body: &[u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"weirckp1");
    hasher.update(body);
    let mut bytes = b"weirckp1".to_vec();
    bytes.extend_from_slice(&hasher.finalize().to_le_bytes());
    bytes.extend_from_slice(body);
    if let Ok(checkpoint) = checkpoint::decode(&bytes) {
        let _ = page(&checkpoint.state);
        let again = checkpoint::encode(&checkpoint).concat();
        assert!(checkpoint::decode(&again).is_ok());
    }
}

/// A journal as a file: entries of any content, each with its length and a checksum that fits.
fn journals(entries: &[u8]) {
    let mut bytes = b"weirjnl1".to_vec();
    for entry in entries.split(|&byte| byte == 0xc1) {
        let length = u32::try_from(entry.len()).expect("an input is small");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(entry).to_le_bytes());
        bytes.extend_from_slice(entry);
    }
    let folder = std::env::temp_dir().join(format!("weir-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the journal");
    std::fs::write(journal::path(&folder, 1), bytes).expect("a journal");
    let _ = journal::read_from(&Real, &folder, 1, &[1]);
    let _ = std::fs::remove_dir_all(&folder);
}
