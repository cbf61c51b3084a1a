//! A value that a checkpoint may share: handing it out costs a pointer, and it is copied only when
//! it changes while the checkpoint is still being written. So the fold does not stand still while
//! tens of megabytes of histograms are copied.

use std::ops::Deref;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub enum Held<T> {
    Own(T),
    Shared(Arc<T>),
}

impl<T: Clone + Default> Held<T> {
    /// From now on a clone costs nothing.
    pub fn share(&mut self) {
        if let Held::Own(value) = self {
            *self = Held::Shared(Arc::new(std::mem::take(value)));
        }
    }

    /// The value, to be changed.
    #[inline]
    pub fn own(&mut self) -> &mut T {
        if matches!(self, Held::Shared(_)) {
            self.unshare();
        }
        match self {
            Held::Own(value) => value,
            Held::Shared(_) => unreachable!("it was just made our own"),
        }
    }

    #[cold]
    #[inline(never)]
    fn unshare(&mut self) {
        if let Held::Shared(value) = self {
            let value = std::mem::take(value);
            *self = Held::Own(Arc::unwrap_or_clone(value));
        }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Held::Own(value) => value,
            Held::Shared(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_out_does_not_change() {
        let mut held = Held::Own(vec![1]);
        held.share();
        let copy = held.clone();
        held.own().push(2);
        assert_eq!((copy.len(), held.len()), (1, 2));
        assert!(matches!(copy, Held::Shared(_)));
        drop(copy);
        held.share();
        let place = held.as_ptr();
        assert_eq!(held.own().as_ptr(), place, "nobody else has it: no copy");
    }
}
