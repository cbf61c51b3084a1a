//! The byte budget: the one limit on what is in flight between the reader and the sinks, and so
//! the whole back-pressure of the pipeline. It also knows what is still on its way.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What a batch costs besides its content, with its mark and all that is made of it on its way. A batch that
/// only carries news has no content, and one of a small file or of a slow stream has little: a queue of them
/// is to have a limit too, of some hundred with the default budget.
pub const BATCH_BYTES: usize = 16 << 10;

/// Bytes that may be in flight, shared by the threads of one run.
#[derive(Debug)]
pub struct Budget {
    flow: Mutex<Flow>,
    total: usize,
    released: Condvar,
}

#[derive(Debug)]
struct Flow {
    free: usize,
    way: Way,
}

/// What is on its way from the reader to the sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Bytes of the inputs that were read and are not done with: what they give is not written yet.
    pub unwritten_bytes: u64,
    /// Batches that were handed out since the start.
    pub taken: u64,
    /// How many of them the fold has taken in.
    pub folded: u64,
}

impl Budget {
    pub fn new(total: usize) -> Arc<Budget> {
        let flow = Flow {
            free: total,
            way: Way::default(),
        };
        Arc::new(Budget {
            flow: Mutex::new(flow),
            total,
            released: Condvar::new(),
        })
    }

    /// Waits until `bytes` are free and takes them. More than the whole budget counts as all of
    /// it, so one oversized record passes when nothing else is in flight.
    pub fn take(self: &Arc<Budget>, bytes: usize) -> Permit {
        let bytes = bytes.min(self.total);
        let mut flow = self.lock();
        while flow.free < bytes {
            flow = self
                .released
                .wait(flow)
                .expect("no holder of the budget panics");
        }
        flow.free -= bytes;
        flow.way.taken += 1;
        Permit {
            budget: Arc::clone(self),
            bytes,
            read_bytes: 0,
            is_folded: false,
            after: None,
        }
    }

    /// What is on its way now.
    pub fn way(&self) -> Way {
        self.lock().way
    }

    fn lock(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().expect("no holder of the budget panics")
    }
}

/// Bytes taken from the budget; they come back when the permit is dropped.
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
    read_bytes: u64,
    is_folded: bool,
    after: Option<Box<dyn FnOnce() + Send>>,
}

impl Permit {
    /// The permit of a batch that stands for so many bytes of the inputs.
    pub fn of(mut self, read_bytes: u64) -> Permit {
        self.budget.lock().way.unwritten_bytes += read_bytes;
        self.read_bytes += read_bytes;
        self
    }

    /// Called when everything that the permit was for is done, on the thread that did the last of it.
    pub fn then(mut self, after: impl FnOnce() + Send + 'static) -> Permit {
        self.after = Some(Box::new(after));
        self
    }

    /// The fold has taken the batch in.
    pub fn folded(&mut self) {
        if !std::mem::replace(&mut self.is_folded, true) {
            self.budget.lock().way.folded += 1;
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Permit({} bytes)", self.bytes)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut flow = self.budget.lock();
        flow.free += self.bytes;
        flow.way.unwritten_bytes -= self.read_bytes;
        flow.way.folded += u64::from(!self.is_folded);
        drop(flow);
        self.budget.released.notify_one();
        if let Some(after) = self.after.take() {
            after();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_bytes_back_and_lets_an_oversized_one_pass() {
        let budget = Budget::new(10);
        let first = budget.take(4);
        let second = budget.take(6);
        drop((first, second));
        let all = budget.take(99);
        assert_eq!(budget.lock().free, 0);
        drop(all);
        assert_eq!(budget.lock().free, 10);
    }

    #[test]
    fn knows_what_is_on_its_way() {
        let budget = Budget::new(10);
        let mut first = budget.take(4).of(300);
        let second = budget.take(6).of(20);
        first.folded();
        first.folded();
        let way = |unwritten_bytes, taken, folded| Way {
            unwritten_bytes,
            taken,
            folded,
        };
        assert_eq!(budget.way(), way(320, 2, 1));
        drop(second);
        assert_eq!(budget.way(), way(300, 2, 2));
        let budget = Arc::clone(&budget);
        let seen = Arc::new(Mutex::new(None));
        let (look, say) = (Arc::clone(&budget), Arc::clone(&seen));
        drop(first.then(move || *say.lock().unwrap() = Some(look.way())));
        // What comes after sees it done.
        assert_eq!(*seen.lock().unwrap(), Some(way(0, 2, 2)));
    }
}
