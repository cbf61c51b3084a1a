//! How many files may be open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what is no followed file: standard streams, output, state, sockets, threads' own.
const OTHERS: u64 = 32;

/// Bounds of what [`files_open_max`] gives: fewer make no progress with rotated sets, more are held
/// by nobody.
const BOUNDS: (u64, u64) = (8, 65_536);

/// Asked for where the kernel sets no limit of its own.
const WANTED: u64 = 1 << 17;

/// Raises this process' limit on open descriptors as far as it may by itself, and returns how many
/// followed files can be held open at once. A shell's usual soft limit of 1,024 is for programs that
/// use `select`; the hard one is what the machine's owner allows.
pub fn files_open_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(WANTED);
    if limit.current.is_some_and(|current| current < wanted) {
        // Where it fails the old limit stands.
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    share(getrlimit(Resource::Nofile).current.unwrap_or(WANTED))
}

/// Of so many descriptors.
fn share(descriptors: u64) -> usize {
    let share = descriptors
        .saturating_sub(descriptors / 4)
        .saturating_sub(OTHERS);
    usize::try_from(share.clamp(BOUNDS.0, BOUNDS.1)).expect("its bound is small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_room_for_others_and_takes_what_it_may() {
        let known = [(0, 8), (32, 8), (64, 16), (1024, 736), (524_288, 65_536)];
        for (descriptors, want) in known {
            assert_eq!(share(descriptors), want, "{descriptors}");
        }
        assert_eq!(share(u64::MAX), 65_536);
        let files = files_open_max();
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.current == limit.maximum || limit.current >= Some(WANTED));
        assert_eq!(files, share(limit.current.unwrap_or(WANTED)));
    }
}
