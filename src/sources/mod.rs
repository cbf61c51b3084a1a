//! Where bytes come from. A source opens, reads and says its name; [`reading`] reads one to its end,
//! [`follow`] reads files that grow, and [`streams`] reads several streams at once. Where chunks end is
//! the framing's to say; records and the threads of a run are the engine's.

pub mod compressed;
pub mod encoding;
pub mod follow;
pub mod globs;
mod lines;
pub mod prepared;
pub mod reading;
pub mod streams;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::component::configurations;
use crate::flow::alert::SampleLine;
use crate::flow::time::Time;
use crate::sources::follow::{Note, Step};

/// An opened source.
pub struct Source {
    /// As the user named it; `-` for standard input.
    pub name: String,
    pub bytes: Box<dyn io::Read + Send>,
    /// Set for plain files: mappers read stretches of it themselves.
    pub file: Option<Arc<File>>,
    /// Bytes that are left to read, if they are known and not compressed.
    pub size: Option<u64>,
    /// Modification time of a file, start time of a stream.
    pub anchor: Time,
    /// Of a program: what is said of its end, as the last record.
    pub ending: Option<Receiver<Ending>>,
    /// Set for pipes and terminals: reading may wait for others, so the reader polls this first.
    pub live: Option<OwnedFd>,
}

/// The record that a source makes itself once its program has ended, in logfmt, with a line feed.
#[derive(Debug)]
pub struct Ending {
    pub line: String,
    /// What the program wrote last.
    pub before: Vec<SampleLine>,
}

/// Inputs that grow while they are read: followed files, streams, or both. Called by one thread alone, which
/// never waits inside for anything but the disk.
pub trait Follower: Send {
    fn step(&mut self) -> Step;

    /// Batches from now on end what is open; then comes [`Step::End`].
    fn finish(&mut self);

    /// One of the next batches asks the sinks to open their files anew; it is empty if there is
    /// nothing else.
    fn reopen(&mut self);

    /// What a user should know, since the last call.
    fn notes(&mut self) -> Vec<Note>;

    /// A buffer that came with a batch, to be filled again.
    fn give_back(&mut self, buffer: Vec<u8>);

    /// Bytes handed out in batches.
    fn bytes(&self) -> u64;

    /// Readable when [`Follower::step`] has something to do before the time it gave.
    fn hints_descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// The same for what is read beside files.
    fn streams_descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether batches come that came before a kill.
    fn is_replaying(&self) -> bool {
        false
    }

    /// What could not be read to its end, with the exit code it asks for, since the last call.
    fn problems(&mut self) -> Vec<(String, u8)> {
        Vec::new()
    }
}

/// A stream as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// As it is shown; no other stream of the run has it.
    pub name: String,
    pub origin: Origin,
    pub status: Shared,
}

/// Health of a stream, for `up()`, `/health` and the metrics.
#[derive(Debug, Default)]
pub struct Status {
    /// It is read; of a polled program, its last run ended well and in time.
    pub up: AtomicBool,
    /// It has ended, by itself and badly, and is not started again.
    pub failed: AtomicBool,
    /// Runs of a program, and those that were left out because one was still going on.
    pub runs: AtomicU64,
    pub skipped: AtomicU64,
}

/// A [`Status`] that several threads share. Two streams are the same stream whatever their statuses.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Status>);

impl Deref for Shared {
    type Target = Status;

    fn deref(&self) -> &Status {
        &self.0
    }
}

impl PartialEq for Shared {
    fn eq(&self, _: &Shared) -> bool {
        true
    }
}

impl Eq for Shared {}

/// When a program is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// It is polled: started each time this span is over.
    pub every: Option<Duration>,
    /// What its end leads to if it is not polled.
    pub restart: command::Restart,
}

/// The configuration of a source: the keys of `[[source]]` beside those that every source has.
pub(crate) trait Configured {
    type Settings;

    /// The source, ready to be opened.
    fn resolve(&self) -> Self::Settings;
}

/// A source that is ready to be opened.
pub(crate) trait Open {
    /// Its name, unless the user gives it one.
    fn name(&self) -> String;

    /// What it is, in a few words.
    fn subject(&self) -> &'static str;

    /// How it is read, for `weir check`.
    fn about(&self) -> String;

    /// Files, which are followed together with those of all other sources and never opened as a stream.
    fn files(&self) -> Option<&file::Settings> {
        None
    }

    /// Only one source of a run can be it, and a terminal is refused.
    fn is_stdin(&self) -> bool {
        false
    }

    /// A program that is started. If it is all that a run reads, the run ends as it does.
    fn program(&self) -> Option<&[OsString]> {
        None
    }

    /// When its program is started again.
    fn again(&self) -> Again {
        Again::default()
    }

    /// What its keys say that cannot be: the key, and a sentence with the remedy.
    fn mistake(&self) -> Option<(&'static str, &'static str, &'static str)> {
        None
    }

    fn open(&self, name: &str, now: Time) -> Result<Opened, OpenError>;
}

/// A stream that is open.
pub struct Opened {
    pub source: Source,
    /// The program that writes it.
    pub running: Option<command::Running>,
}

/// Makes the modules and both enums of the list.
macro_rules! make {
    ($($Variant:ident: $file:ident,)*) => {
        configurations! {
            /// A kind of source.
            $($Variant: $file,)*
        }

        impl Config {
            /// The source, ready to be opened.
            pub fn resolve(&self) -> Origin {
                match self {
                    $(Config::$Variant(config) => Origin::$Variant(config.resolve()),)*
                }
            }
        }

        /// Where bytes come from.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Origin {
            $($Variant($file::Settings),)*
        }

        impl Origin {
            /// As in the configuration.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Origin::$Variant(_) => stringify!($file),)*
                }
            }

            fn contract(&self) -> &dyn Open {
                match self {
                    $(Origin::$Variant(settings) => settings,)*
                }
            }
        }
    };
}

sources!(make);

impl Origin {
    pub fn stdin() -> Origin {
        Origin::Stdin(stdin::Settings)
    }

    /// Its name, unless the user gives it one.
    pub fn name(&self) -> String {
        self.contract().name()
    }

    /// What it is, in a few words.
    pub fn subject(&self) -> &'static str {
        self.contract().subject()
    }

    /// How it is read, for `weir check`.
    pub fn about(&self) -> String {
        self.contract().about()
    }

    /// Files, which are followed together with those of all other sources.
    pub fn files(&self) -> Option<&file::Settings> {
        self.contract().files()
    }

    pub fn is_stdin(&self) -> bool {
        self.contract().is_stdin()
    }

    /// A program that is started.
    pub fn program(&self) -> Option<&[OsString]> {
        self.contract().program()
    }

    /// When its program is started again.
    pub fn again(&self) -> Again {
        self.contract().again()
    }

    /// What its keys say that cannot be: the key, the message and the remedy.
    pub fn mistake(&self) -> Option<(&'static str, &'static str, &'static str)> {
        self.contract().mistake()
    }

    pub fn open(&self, name: &str, now: Time) -> Result<Opened, OpenError> {
        self.contract().open(name, now)
    }
}

/// Why a source could not be opened. The exit code tells scripts which of the two it was.
#[derive(Debug)]
pub struct OpenError {
    pub message: String,
    /// 66 for a missing input or a directory, 74 for one that cannot be read.
    pub exit_code: u8,
}

/// Opens `name`: `-` is standard input, everything else a path.
pub fn open(name: &std::ffi::OsStr, now: Time) -> Result<Source, OpenError> {
    if name == "-" {
        stdin::open(now)
    } else {
        file::open(name.as_ref(), now)
    }
}
