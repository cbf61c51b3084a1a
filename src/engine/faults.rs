//! Our own faults: panics. What a panic says is caught where the work can go on without the record
//! that caused it, and told in one line with its place; nothing is lost because of it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError, TryLockError};
use std::time::Instant;

use crate::flow::mapped::Fault;
use crate::process::diagnostics::{Notes, try_say};

/// Longest text of a panic that is kept, in bytes: an assertion may print a whole record.
const REASON_BYTES_MAX: usize = 512;

thread_local! {
    /// Somebody on this thread catches panics and tells of them.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Text and place of the last panic that was caught.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What is told by the hook, with a limit on lines a second.
static TOLD: LazyLock<Mutex<Notes>> = LazyLock::new(|| Mutex::new(Notes::new(try_say)));

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// From now on a panic is one harmless line on standard error, instead of raw text and a backtrace;
/// inside of [`guard`] it is none.
pub fn install() {
    set_hook(Box::new(|info| {
        let reason = reason_of(info);
        if IS_GUARDED.get() {
            CAUGHT.with(|caught| {
                if let Ok(mut caught) = caught.try_borrow_mut() {
                    *caught = Some(reason);
                }
            });
            return;
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_owned();
        tell(&format!(
            "a fault of weir, please report it: the thread \"{name}\" {reason}"
        ));
    }));
}

/// Says a line, a limited number a second.
pub fn tell(text: &str) {
    let mut notes = match TOLD.try_lock() {
        Ok(notes) => notes,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // Another thread is saying something; waiting inside of a panic could last for ever.
        Err(TryLockError::WouldBlock) => return,
    };
    notes.put(text, STARTED.elapsed());
}

/// Says how many lines were left out, at the end.
pub fn finish() {
    let mut notes = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    notes.finish();
}

/// Runs `work`; a panic is an error, with its text and place. What the work has changed must be of no
/// further use then.
pub fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let was_guarded = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(was_guarded);
    result.map_err(|payload| {
        let caught = CAUGHT.with(RefCell::take);
        caught.unwrap_or_else(|| format!("panicked: {}", shortened(text_of(&*payload))))
    })
}

fn reason_of(info: &PanicHookInfo<'_>) -> String {
    let text = shortened(text_of(info.payload()));
    match info.location() {
        Some(place) => {
            let (file, line, column) = (place.file(), place.line(), place.column());
            format!("panicked at {file}:{line}:{column}: {text}")
        }
        None => format!("panicked: {text}"),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A record that made us panic, as it is put away.
pub struct Faulted<'a> {
    pub source: &'a str,
    /// Number of its first line, from 1, if it is known.
    pub line: Option<u64>,
    pub fault: &'a Fault,
}

/// Puts records away that made us panic.
pub type Put = Box<dyn FnMut(&Faulted<'_>) -> io::Result<()>>;

/// Names the records that made us panic, and puts them away.
pub struct Faults {
    notes: Notes,
    /// The file that they are put into, and how.
    letters: Option<(PathBuf, Put)>,
    has_complained: bool,
}

impl Faults {
    pub fn new(say: fn(&str), letters: Option<(PathBuf, Put)>) -> Faults {
        Faults {
            notes: Notes::new(move |text| {
                say(text);
                true
            }),
            letters,
            has_complained: false,
        }
    }

    pub fn put(&mut self, faulted: &Faulted<'_>) {
        let now = STARTED.elapsed();
        let mut kept_in = String::new();
        if let Some((path, put)) = &mut self.letters {
            match put(faulted) {
                Ok(()) => kept_in = format!("; see {}", path.display()),
                Err(error) if !std::mem::replace(&mut self.has_complained, true) => {
                    self.notes.put(&format!("{}: {error}", path.display()), now);
                }
                Err(_) => {}
            }
        }
        let line = faulted
            .line
            .map_or(String::new(), |line| format!("line {line}, "));
        let Faulted { source, fault, .. } = faulted;
        self.notes.put(
            &format!(
                "{source}: {line}offset {}: weir {}; the record is kept as plain text, please report \
                 it{kept_in}",
                fault.offset, fault.reason
            ),
            now,
        );
    }

    /// Says how many were not named, when it is time.
    pub fn look(&mut self) {
        let now = STARTED.elapsed();
        if self.notes.due().is_some_and(|due| due <= now) {
            self.notes.tell_left_out(now);
        }
    }

    pub fn finish(&mut self) {
        self.notes.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text_and_its_place_and_guards_may_be_inside_of_guards() {
        // Not installed for good: the other tests of this process want the usual hook.
        let inner = guard(|| {
            let inner = guard(|| panic!("inner {}", 1));
            assert_eq!(inner, Err::<(), _>("panicked: inner 1".to_owned()));
            panic!("outer");
        });
        assert_eq!(inner, Err::<(), _>("panicked: outer".to_owned()));
        assert_eq!(guard(|| 7), Ok(7));
        let long = "ä".repeat(10_000);
        assert!(shortened(&long).len() <= REASON_BYTES_MAX);
    }
}
