//! What was repaired while a checkpoint or a snapshot was read. A table that finds a value out of range
//! in its own bytes puts it right and counts it here: one such value must not keep a run from starting
//! for ever. Bytes that are torn or have another structure are still refused as a whole.

use std::cell::Cell;

thread_local! {
    /// Serde gives a table no place to hand such a number on, and one thread reads one value at a time.
    static VALUES: Cell<u64> = const { Cell::new(0) };
}

/// Counts values that were put right.
pub fn add(values: u64) {
    VALUES.set(VALUES.get().saturating_add(values));
}

/// What `read` returns, and how many values were put right in it.
pub fn counted<T>(read: impl FnOnce() -> T) -> (T, u64) {
    let before = VALUES.replace(0);
    let value = read();
    (value, VALUES.replace(before))
}

/// What the user is told; `None` if nothing was repaired.
pub fn note(values: u64) -> Option<String> {
    let what = match values {
        0 => return None,
        1 => "1 value was".to_owned(),
        _ => format!("{values} values were"),
    };
    Some(format!(
        "{what} out of range and put right; the totals of the tables concerned may be off"
    ))
}
