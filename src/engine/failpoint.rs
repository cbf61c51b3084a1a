//! Points at which a test makes the program lose something, to see that it notices (law 2).
//!
//! Only built with the feature `failpoints`; otherwise [`hit`] is a constant `false` and costs
//! nothing. `WEIR_FAILPOINT=batch:3` drops the fourth batch, `record:0` the first record of a
//! batch, `write:0` the first write, `sink:1` all that the second sink is to get.

/// Where something can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    Batch,
    Record,
    Write,
    /// All that one sink behind the first is to get.
    Sink,
}

/// Whether the thing with this number is to be lost here.
#[cfg(feature = "failpoints")]
pub fn hit(point: Failpoint, number: u64) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<(Failpoint, u64)>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("WEIR_FAILPOINT").ok()?;
        let (name, number) = text.split_once(':')?;
        let point = match name {
            "batch" => Failpoint::Batch,
            "record" => Failpoint::Record,
            "write" => Failpoint::Write,
            "sink" => Failpoint::Sink,
            _ => return None,
        };
        Some((point, number.parse().ok()?))
    });
    *chosen == Some((point, number))
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_point: Failpoint, _number: u64) -> bool {
    false
}
