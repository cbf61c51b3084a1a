//! Where lines and reports go: one file a sink (`registry.rs` lists them). A sink writes what it is given and counts it; it
//! decides nothing.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::component::{Keys, Resolver, configurations};
use crate::notifiers::Channel;
use crate::sinks::file::Appender;
use crate::sinks::stdout::Escape;

/// What a sink writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum What {
    #[default]
    Lines,
    Summary,
    Alerts,
}

/// What a sink may ask for while its configuration is resolved.
pub struct Context<'c> {
    pub resolver: &'c mut dyn Resolver,
    /// Its name in messages.
    pub name: String,
    /// How long the end of the run may take.
    pub grace: Duration,
    /// File for what a receiver refuses for good.
    pub dead_letters: Option<PathBuf>,
}

/// The configuration of a sink: the keys of `[[sink]]` beside those that every sink has.
pub(crate) trait Configured {
    type Settings;

    /// Keys that depend on each other.
    const KEYS: &[Keys] = &[];

    /// What is written and on which condition; `None` for an endpoint, which is asked.
    fn writes(&self) -> Option<(What, Option<&str>)>;

    /// The file that it writes, and how many rotated ones stay beside it.
    fn file(&self) -> Option<(&str, u32)> {
        None
    }

    /// The sink, ready to be opened. `None` after a mistake, which the resolver has reported.
    fn resolve(&self, context: &mut Context) -> Option<Self::Settings>;
}

/// A sink that is ready to be opened.
pub(crate) trait Open {
    /// Where it writes, in a few words, without what may be secret.
    fn address(&self) -> String;

    /// A file that is appended to. The journal can explain its content.
    fn file(&self) -> Option<&file::Settings> {
        None
    }

    /// How alerts get there; `None` if they cannot.
    fn channel(&self) -> Option<Channel> {
        None
    }

    /// An error names the sink.
    fn open(self, opening: &Opening) -> io::Result<Destination>
    where
        Self: Sized;
}

/// What a sink is opened with.
pub struct Opening {
    /// How what a terminal might obey is written.
    pub escape: Escape,
    pub clock: Arc<dyn Clock>,
    /// Gets our own lines.
    pub say: fn(&str),
}

/// An open sink.
pub enum Destination {
    /// Bytes that are gone once they are written.
    Plain(Box<dyn Sink>),
    /// A file that grows, and that can be compared with the journal after a kill.
    File(Box<Appender>),
}

/// Makes the modules and both enums of the list, and hands their calls on.
macro_rules! make {
    ($($Variant:ident: $file:ident,)*) => {
        configurations! {
            /// A kind of sink.
            $($Variant: $file,)*
        }

        impl Config {
            /// Keys that depend on each other, by the name of the kind.
            pub fn keys(kind: &str) -> &'static [Keys] {
                match kind {
                    $(stringify!($file) => <$file::Config as Configured>::KEYS,)*
                    _ => &[],
                }
            }

            /// What is written and on which condition; `None` for an endpoint, which is asked.
            pub fn writes(&self) -> Option<(What, Option<&str>)> {
                match self {
                    $(Config::$Variant(config) => config.writes(),)*
                }
            }

            /// The file that it writes, and how many rotated ones stay beside it.
            pub fn file(&self) -> Option<(&str, u32)> {
                match self {
                    $(Config::$Variant(config) => config.file(),)*
                }
            }

            /// The sink, ready to be opened. `None` after a mistake, which the resolver has reported.
            pub fn resolve(&self, context: &mut Context) -> Option<Target> {
                match self {
                    $(Config::$Variant(config) => {
                        config.resolve(context).map(|it| Target::$Variant(Box::new(it)))
                    })*
                }
            }
        }

        /// A sink with everything resolved.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Target {
            $($Variant(Box<$file::Settings>),)*
        }

        impl Target {
            fn contract(&self) -> &dyn Open {
                match self {
                    $(Target::$Variant(settings) => &**settings,)*
                }
            }

            /// An error names the sink.
            pub fn open(self, opening: &Opening) -> io::Result<Destination> {
                match self {
                    $(Target::$Variant(settings) => settings.open(opening),)*
                }
            }
        }
    };
}

sinks!(make);

impl Target {
    /// Where it writes, in a few words, without what may be secret.
    pub fn address(&self) -> String {
        self.contract().address()
    }

    /// A file that is appended to. The journal can explain its content.
    pub fn file(&self) -> Option<&file::Settings> {
        self.contract().file()
    }

    /// How alerts get there; `None` if they cannot.
    pub fn channel(&self) -> Option<Channel> {
        self.contract().channel()
    }
}

/// A place for lines. Called from one thread, in order.
pub trait Sink: Send {
    /// Writes all of these whole lines. An error means that some of them are lost to this sink.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Makes sure that everything written has left the process.
    fn finish(&mut self) -> io::Result<()>;

    /// What of the lines written so far is still in the memory of the process. `None` for a sink that is
    /// rid of them when [`Sink::write`] returns.
    fn pending(&self) -> Option<Pending> {
        None
    }
}

/// Counts what has arrived of what was written to a sink.
#[derive(Debug, Default)]
pub struct Arrivals {
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Count {
    bytes: u64,
    is_over: bool,
}

impl Arrivals {
    /// So many more bytes are at the receiver, or durable in another place.
    pub fn add(&self, bytes: u64) {
        self.lock().bytes += bytes;
        self.changed.notify_all();
    }

    /// No more will arrive.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        // A count is whole at every moment.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines on their way to a receiver: the first `bytes` of all that was written to the sink.
#[derive(Clone, Debug)]
pub struct Pending {
    pub arrivals: Arc<Arrivals>,
    pub bytes: u64,
}

/// What became of lines on their way, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    Arrived,
    Waiting,
    /// The sink has ended, and some of them have not arrived.
    Missing,
}

impl Pending {
    pub fn look(&self) -> Arrival {
        self.judge(&self.arrivals.lock())
    }

    /// Waits until the lines have arrived or the sink has ended; the sink bounds the wait once the run is
    /// asked to end.
    pub fn wait(&self) -> Arrival {
        let mut count = self.arrivals.lock();
        loop {
            match self.judge(&count) {
                Arrival::Waiting => {}
                end => return end,
            }
            let woken = self.arrivals.changed.wait(count);
            count = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn judge(&self, count: &Count) -> Arrival {
        if count.bytes >= self.bytes {
            Arrival::Arrived
        } else if count.is_over {
            Arrival::Missing
        } else {
            Arrival::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_or_are_missing() {
        let arrivals = Arc::new(Arrivals::default());
        let pending = |bytes| Pending {
            arrivals: Arc::clone(&arrivals),
            bytes,
        };
        let (first, second) = (pending(5), pending(9));
        assert_eq!(pending(0).wait(), Arrival::Arrived);
        assert_eq!(first.look(), Arrival::Waiting);
        let waiting = std::thread::spawn(move || (first.wait(), second.wait()));
        arrivals.add(3);
        arrivals.add(4);
        arrivals.end();
        assert_eq!(
            waiting.join().unwrap(),
            (Arrival::Arrived, Arrival::Missing)
        );
    }
}
