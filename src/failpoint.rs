//! Points at which a test makes the program lose something, to see that it notices (law 2), or panic, to
//! see that only the record that does it is affected.
//!
//! Only in debug builds, or with the feature `failpoints`; otherwise [`hit`] is a constant `false`,
//! [`panic_on`] does nothing, and both cost nothing. `WEIR_FAILPOINT=batch:3` drops the fourth batch,
//! `record:0` the first record of a batch, `write:0` the first write, `sink:1` all that the second sink
//! is to get. `panic-parser:TEXT` panics where a record with that text is parsed; the other places are in
//! [`Failpoint`].

/// Where something can be lost, or a panic can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    Batch,
    Record,
    Write,
    /// All that one sink behind the first is to get.
    Sink,
    PanicFraming,
    PanicParser,
    PanicFilter,
    PanicDedup,
    PanicAggregate,
    /// Where a batch with this text among its lines is taken in, but for lines that are set aside.
    PanicFold,
    /// Where an output with this text is written.
    PanicSink,
    /// Where a notifier with this name delivers.
    PanicNotifier,
    /// Where any checkpoint is written.
    PanicCommitter,
}

/// Whether the thing with this number is to be lost here.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn hit(point: Failpoint, number: u64) -> bool {
    chosen()
        .as_ref()
        .is_some_and(|(chosen, text)| *chosen == point && text.parse() == Ok(number))
}

/// Panics if the text that was asked for is in `bytes`.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn panic_on(point: Failpoint, bytes: &[u8]) {
    if let Some((chosen, text)) = chosen()
        && *chosen == point
        && memchr::memmem::find(bytes, text.as_bytes()).is_some()
    {
        panic!("planted {point:?}");
    }
}

/// Panics if the text that was asked for is in `bytes` more often than in all of `except`.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub fn panic_on_more<'a>(
    point: Failpoint,
    bytes: &'a [u8],
    except: impl Iterator<Item = &'a [u8]>,
) {
    if let Some((chosen, text)) = chosen()
        && *chosen == point
    {
        let count = |bytes: &'a [u8]| memchr::memmem::find_iter(bytes, text.as_bytes()).count();
        if count(bytes) > except.map(count).sum() {
            panic!("planted {point:?}");
        }
    }
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
fn chosen() -> &'static Option<(Failpoint, String)> {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<(Failpoint, String)>> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let setting = std::env::var("WEIR_FAILPOINT").ok()?;
        let (name, text) = setting.split_once(':')?;
        let point = match name {
            "batch" => Failpoint::Batch,
            "record" => Failpoint::Record,
            "write" => Failpoint::Write,
            "sink" => Failpoint::Sink,
            "panic-framing" => Failpoint::PanicFraming,
            "panic-parser" => Failpoint::PanicParser,
            "panic-filter" => Failpoint::PanicFilter,
            "panic-dedup" => Failpoint::PanicDedup,
            "panic-aggregate" => Failpoint::PanicAggregate,
            "panic-fold" => Failpoint::PanicFold,
            "panic-sink" => Failpoint::PanicSink,
            "panic-notifier" => Failpoint::PanicNotifier,
            "panic-committer" => Failpoint::PanicCommitter,
            _ => return None,
        };
        Some((point, text.to_owned()))
    })
}

#[cfg(not(any(debug_assertions, feature = "failpoints")))]
#[inline(always)]
pub fn hit(_point: Failpoint, _number: u64) -> bool {
    false
}

#[cfg(not(any(debug_assertions, feature = "failpoints")))]
#[inline(always)]
pub fn panic_on(_point: Failpoint, _bytes: &[u8]) {}

#[cfg(not(any(debug_assertions, feature = "failpoints")))]
#[inline(always)]
pub fn panic_on_more<'a>(_: Failpoint, _: &[u8], _: impl Iterator<Item = &'a [u8]>) {}
