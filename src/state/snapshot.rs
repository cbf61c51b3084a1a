//! A state as bytes: what `--snapshot` writes and `weir merge` reads.
//!
//! Eight bytes of magic, a CRC-32 of the rest, then the state as MessagePack with field names, so
//! that a later version can add fields.

use crate::state::{State, repaired};

const MAGIC: [u8; 8] = *b"weirsnp1";

/// Why bytes are no snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct NotASnapshot(pub String);

/// The state as bytes.
pub fn encode(state: &State) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(state).expect("a state has no type that MessagePack lacks");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// The state that `bytes` hold, whole and unharmed.
pub fn decode(bytes: &[u8]) -> Result<State, NotASnapshot> {
    let refuse = |reason: &str| Err(NotASnapshot(reason.to_owned()));
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
        return refuse("too short for a snapshot");
    };
    if *magic != MAGIC {
        return if magic.starts_with(b"weirsnp") {
            refuse("written by a version of weir that this one does not know")
        } else {
            refuse("not a snapshot; write one with `weir --snapshot FILE`")
        };
    }
    let Some((sum, body)) = rest.split_first_chunk::<4>() else {
        return refuse("a torn snapshot: it ends too early");
    };
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return refuse("a torn or damaged snapshot: its checksum does not fit");
    }
    let (state, repaired) = repaired::counted(|| rmp_serde::from_slice::<State>(body));
    let mut state =
        state.map_err(|error| NotASnapshot(format!("a snapshot that cannot be read: {error}")))?;
    state.repaired = repaired;
    state.messages.reindex();
    Ok(state)
}
