//! The byte budget: the one limit on what is in flight between the reader and the sinks, and so
//! the whole back-pressure of the pipeline.

use std::sync::{Arc, Condvar, Mutex};

/// Bytes that may be in flight, shared by the threads of one run.
#[derive(Debug)]
pub struct Budget {
    free: Mutex<usize>,
    total: usize,
    released: Condvar,
}

impl Budget {
    pub fn new(total: usize) -> Arc<Budget> {
        Arc::new(Budget {
            free: Mutex::new(total),
            total,
            released: Condvar::new(),
        })
    }

    /// Waits until `bytes` are free and takes them. More than the whole budget counts as all of
    /// it, so one oversized record passes when nothing else is in flight.
    pub fn take(self: &Arc<Budget>, bytes: usize) -> Permit {
        let bytes = bytes.min(self.total);
        let mut free = self.free.lock().expect("no holder of the budget panics");
        while *free < bytes {
            free = self
                .released
                .wait(free)
                .expect("no holder of the budget panics");
        }
        *free -= bytes;
        Permit {
            budget: Arc::clone(self),
            bytes,
        }
    }
}

/// Bytes taken from the budget; they come back when the permit is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self
            .budget
            .free
            .lock()
            .expect("no holder of the budget panics") += self.bytes;
        self.budget.released.notify_one();
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
        assert_eq!(*budget.free.lock().unwrap(), 0);
        drop(all);
        assert_eq!(*budget.free.lock().unwrap(), 10);
    }
}
