//! What the program writes itself: its output files, those that they were rotated to, and the files of the
//! state directory. Read as input, they would grow without end. They are known by what they are, since a
//! link or a rename can give them a name that is followed.

use std::path::PathBuf;
use std::time::Duration;

use crate::disk::Identity;
use crate::disk::rotated::rotated_path;
use crate::flow::mark::Generation;
use crate::sources::Follower as _;
use crate::sources::follow::followed::Phase;
use crate::sources::follow::{Follower, POLL};

/// Rotated files of one output that are looked at, and files of the state directory: more than people keep.
const FILES_MAX: u32 = 1000;

/// Files that are remembered after they have gone elsewhere; past that only those in their places are.
const KNOWN_MAX: usize = 4096;

pub const WHAT: &str = "our own output";

impl Follower {
    /// Looks at the files that are written, when it is time to, and lets go of those that are followed.
    pub(super) fn look_at_outputs(&mut self, now: Duration) {
        if now < self.outputs_at || self.is_replaying() {
            return;
        }
        self.outputs_at = now + POLL;
        let found = self.written_files();
        // Without birth times the next file may have the identity of one that has gone.
        let keeps = found.iter().all(|identity| identity.born != 0);
        if !keeps || self.ours.len() + found.len() > KNOWN_MAX {
            self.ours.clear();
        }
        self.ours.extend(found);
        let followed: Vec<Generation> = self
            .ours
            .iter()
            .filter_map(|identity| self.by_identity.get(identity).copied())
            .filter(|generation| {
                let file = self.files.get(generation);
                file.is_some_and(|file| file.phase != Phase::Ended)
            })
            .collect();
        for generation in followed {
            let birth = self.files[&generation].place.birth.path();
            let path = self.files[&generation].path.clone().unwrap_or(birth);
            self.note(&path, refused(WHAT), true);
            self.end(generation);
        }
    }

    /// What the files are that stand at the places of outputs now.
    fn written_files(&self) -> Vec<Identity> {
        let identity = |path: &PathBuf| self.disk.stat(path).ok().map(|stat| stat.identity);
        let mut found = Vec::new();
        for output in &self.settings.outputs {
            found.extend(identity(output));
            let rotated = (1..FILES_MAX).map(|number| rotated_path(output, number));
            found.extend(rotated.map_while(|path| identity(&path)));
        }
        if let Some(directory) = &self.settings.state {
            let names = self.disk.list(directory).unwrap_or_default();
            let paths = names.iter().map(|name| directory.join(name));
            found.extend(
                paths
                    .take(FILES_MAX as usize)
                    .filter_map(|path| identity(&path)),
            );
        }
        found
    }
}

/// Why a file is not followed.
pub fn refused(what: &str) -> String {
    format!("not followed: it is {what}, and would grow for ever")
}
