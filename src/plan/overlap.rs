//! What a command writes must not be what it reads, nor what it writes elsewhere. Files are compared by
//! device and inode, since one file has many names; a file that is not there yet is compared by its
//! directory and its name. Every command asks before it opens anything for writing.
//!
//! A file that becomes an output later, through a rename or a rotation, is for the follower to notice.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::disk::directory_of;
use crate::disk::rotated::rotation_of;
use crate::error::Failure;

/// Symbolic links that are followed one after the other, as the kernel does.
const LINKS_MAX: usize = 40;

/// Device and inode.
type Id = (u64, u64);

/// What a path leads to, symbolic links followed.
#[derive(Debug, Default)]
struct Spot {
    /// Of a file, FIFO or directory that is there.
    id: Option<Id>,
    /// The directories that it is in and that are there, the deepest first.
    directories: Vec<Id>,
    /// The path from the deepest of them.
    rest: PathBuf,
}

/// A file, standard input or standard output.
#[derive(Debug)]
struct Named {
    /// As in a message: `-O "a.log"`.
    what: String,
    spot: Spot,
    /// How many rotated files stay beside it.
    rotated: u32,
    /// Each alert is one line that is appended, so others may append theirs.
    is_of_alerts: bool,
}

/// What a command writes, and the directory whose files belong to the program.
#[derive(Debug, Default)]
pub struct Outputs {
    list: Vec<Named>,
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    spot: Spot,
    /// Its files may have names elsewhere.
    files: Vec<Id>,
}

/// An output that cannot be written.
#[derive(Debug)]
pub struct Clash {
    /// Its place among the outputs, in the order in which they were added.
    pub place: usize,
    pub text: String,
}

impl Outputs {
    /// The file that a flag or a table of the configuration names; `role` is how the user wrote it.
    pub fn add(&mut self, role: &str, path: &Path, rotated: u32) {
        self.list.push(Named {
            what: format!("{role} \"{}\"", path.display()),
            spot: locate(path),
            rotated,
            is_of_alerts: false,
        });
    }

    /// A file that alerts are appended to.
    pub fn add_alerts(&mut self, role: &str, path: &Path) {
        self.add(role, path, 0);
        self.list
            .iter_mut()
            .next_back()
            .expect("it was added")
            .is_of_alerts = true;
    }

    /// A file that is replaced by renaming a new one. Anything but a file would be gone then.
    pub fn add_replaced(&mut self, role: &str, path: &Path) -> Result<(), Failure> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Failure::usage(format!(
                "{role} \"{}\": is no regular file, and would be replaced by one; name a file",
                path.display()
            )));
        }
        self.add(role, path, 0);
        Ok(())
    }

    /// Standard output, if it is a file.
    pub fn add_stdout(&mut self) {
        self.list.push(Named {
            what: "standard output".to_owned(),
            spot: stream(&io::stdout()),
            rotated: 0,
            is_of_alerts: false,
        });
    }

    /// The state directory.
    pub fn set_state(&mut self, directory: &Path) {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| id(&fs::metadata(entry.path()).ok()?));
        self.state = Some(State {
            path: directory.to_owned(),
            spot: locate(directory),
            files: files.collect(),
        });
    }

    /// The output that a file is, whatever its name is.
    pub fn find(&self, path: &Path) -> Option<&str> {
        let id = id(&fs::metadata(path).ok()?)?;
        let output = self.list.iter().find(|output| output.spot.id == Some(id))?;
        Some(&output.what)
    }

    /// Every output that is an input too, or another output, or a file of the state directory.
    pub fn clashes(&self, inputs: &[OsString]) -> Vec<Clash> {
        let inputs: Vec<Named> = inputs.iter().map(|name| input(name)).collect();
        let outputs = self.list.iter().enumerate();
        let clashes = outputs.filter_map(|(place, output)| {
            let text = self.clash_of(output, &self.list[..place], &inputs)?;
            Some(Clash { place, text })
        });
        clashes.collect()
    }

    fn clash_of(&self, output: &Named, others: &[Named], inputs: &[Named]) -> Option<String> {
        let what = &output.what;
        if let Some(input) = inputs.iter().find(|input| output.writes(input)) {
            return Some(format!(
                "{what} is the same file as {}: the input would be overwritten or read without end; write to another file",
                input.what
            ));
        }
        let mut others = others.iter();
        if let Some(other) = others.find(|other| {
            let share = other.is_of_alerts && output.is_of_alerts;
            !share && (output.writes(other) || other.writes(output))
        }) {
            return Some(format!(
                "{what} is the same file as {}; write each output to a file of its own",
                other.what
            ));
        }
        let state = self.state.as_ref()?;
        let is_in_state = output.spot.is_inside(&state.spot)
            || output.spot.id.is_some_and(|id| state.files.contains(&id));
        is_in_state.then(|| {
            format!(
                "{what} is in the state directory \"{}\", where only weir's own files may be; write to another directory",
                state.path.display()
            )
        })
    }

    /// Refuses, as a mistake on the command line, outputs that are inputs too.
    pub fn check(&self, inputs: &[OsString]) -> Result<(), Failure> {
        match self.clashes(inputs).into_iter().next() {
            Some(clash) => Err(Failure::usage(clash.text)),
            None => Ok(()),
        }
    }
}

impl Named {
    /// Whether the other is this file, or one of those that it is renamed to when it is rotated.
    fn writes(&self, other: &Named) -> bool {
        let (one, two) = (&self.spot, &other.spot);
        let is_beside =
            one.directories.first() == two.directories.first() && !one.directories.is_empty();
        let is_rotated = || {
            let number = rotation_of(&one.rest, &two.rest);
            number.is_some_and(|number| number <= self.rotated)
        };
        (one.id.is_some() && one.id == two.id)
            || is_beside && (one.rest == two.rest || is_rotated())
    }
}

impl Spot {
    /// Whether it is in a directory, however deep.
    fn is_inside(&self, directory: &Spot) -> bool {
        match directory.id {
            Some(id) => self.directories.contains(&id),
            None => {
                !directory.directories.is_empty()
                    && self.directories.first() == directory.directories.first()
                    && self.rest != directory.rest
                    && self.rest.starts_with(&directory.rest)
            }
        }
    }
}

/// An input by its name on the command line.
fn input(name: &OsStr) -> Named {
    let (what, spot) = if name == "-" {
        ("standard input".to_owned(), stream(&io::stdin()))
    } else {
        let path = Path::new(name);
        (format!("the input \"{}\"", path.display()), locate(path))
    };
    Named {
        what,
        spot,
        rotated: 0,
        is_of_alerts: false,
    }
}

/// Where a path leads. What cannot be looked at is nowhere: whoever opens it says why.
fn locate(path: &Path) -> Spot {
    let metadata = fs::metadata(path);
    let id = metadata.as_ref().ok().and_then(id);
    if id.is_none() && metadata.is_ok() {
        return Spot::default();
    }
    let path = last_link(path);
    let (mut above, mut names) = (&*path, Vec::new());
    loop {
        let Some(name) = above.file_name() else {
            return Spot {
                id,
                ..Spot::default()
            };
        };
        names.push(name);
        above = directory_of(above);
        if let Ok(real) = fs::canonicalize(above) {
            let ancestors = real.ancestors();
            let directories =
                ancestors.filter_map(|path| crate::plan::overlap::id(&fs::metadata(path).ok()?));
            return Spot {
                id,
                directories: directories.collect(),
                rest: names.iter().rev().collect(),
            };
        }
    }
}

/// Where the symbolic links at a path lead.
fn last_link(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = directory_of(&path).join(target),
            Err(_) => break,
        }
    }
    path
}

/// A standard stream that is a file. The two ends of a terminal or of a socket are one file and no danger.
fn stream(stream: &impl AsFd) -> Spot {
    let file = stream.as_fd().try_clone_to_owned().map(File::from);
    let metadata = file.and_then(|file| file.metadata());
    let metadata = metadata.ok().filter(Metadata::is_file);
    Spot {
        id: metadata.as_ref().and_then(id),
        ..Spot::default()
    }
}

/// What a file is. Devices and sockets may be read and written at once.
fn id(metadata: &Metadata) -> Option<Id> {
    let kind = metadata.file_type();
    let is_comparable = kind.is_file() || kind.is_dir() || kind.is_fifo();
    is_comparable.then(|| (metadata.dev(), metadata.ino()))
}
