//! Takes notifications to their receivers: in order for each alert, at most as fast as each notifier
//! may, again and again until it succeeds, is refused or is given up. One thread with a runtime of
//! its own, which is there only if there is a notifier. What was not delivered when the program ends
//! stays in the outbox of the caller, because it got no receipt.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::clock::System;
use crate::disk::private_file::Lines;
use crate::flow::alert::Notification;
use crate::net::http;
use crate::notifiers::journal::{DEAD_LETTERS_BYTES_MAX, JOURNAL_BYTES_MAX};
use crate::notifiers::lane::{Lane, Office, Work};
use crate::notifiers::text::Texts;
use crate::notifiers::{Notifier, Settings};

/// Where it is written down what became of notifications.
#[derive(Clone, Debug)]
pub struct Folder {
    pub dead_letters: PathBuf,
    pub journal: PathBuf,
}

impl Folder {
    /// Of a state directory.
    pub fn of(state: &Path) -> Folder {
        Folder {
            dead_letters: state.join("dead-letters.ndjson"),
            journal: state.join("alerts.ndjson"),
        }
    }
}

/// The last word about one notification: from here on it may be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub number: u64,
    pub notifier: String,
    pub outcome: Outcome,
    /// Over all its pieces.
    pub attempts: u32,
    /// What the receiver said last, or why it is dead. Without secrets.
    pub answer: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// All or some of it could not be delivered and is in the dead letters.
    Dead,
}

/// All notifiers of a run.
pub struct Delivery {
    office: Arc<Office>,
    receipts: Receiver<Receipt>,
    thread: Option<Thread>,
}

struct Thread {
    commands: UnboundedSender<Command>,
    join: JoinHandle<()>,
    client: reqwest::Client,
}

enum Command {
    Send(Box<Notification>),
    Update(Vec<Arc<Notifier>>),
    Drain(Duration),
}

impl Delivery {
    /// Starts the notifiers. Fails if a template is wrong or the thread cannot be started; that a
    /// receiver cannot be reached is no failure. `say` gets our own lines, without secrets.
    pub fn start(
        settings: Vec<Settings>,
        folder: Option<Folder>,
        say: fn(&str),
    ) -> io::Result<Delivery> {
        let (sender, receipts) = unbounded();
        let (dead_letters, journal) = match folder {
            Some(folder) => (
                Some(Lines::new(folder.dead_letters, DEAD_LETTERS_BYTES_MAX)),
                Some(Lines::new(folder.journal, JOURNAL_BYTES_MAX)),
            ),
            None => (None, None),
        };
        let office = Office {
            complained: Mutex::default(),
            journal,
            dead_letters,
            receipts: sender,
            open: Mutex::new(BTreeSet::new()),
            say,
            clock: System::new(),
        };
        let mut delivery = Delivery {
            office: Arc::new(office),
            receipts,
            thread: None,
        };
        delivery.update(settings)?;
        Ok(delivery)
    }

    /// Hands over a notification; never blocks. What waits here stands in the caller's outbox too, whose
    /// limit is therefore the limit of the queues. One without a notifier is dead at once.
    pub fn send(&self, notification: Notification) {
        let mut open = self
            .office
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.insert(notification.number);
        drop(open);
        match &self.thread {
            // The thread goes on until it is told to end.
            Some(thread) => {
                let _ = thread.commands.send(Command::Send(Box::new(notification)));
            }
            None => unknown(&self.office, notification),
        }
    }

    /// What became of notifications, in no particular order; one receipt each. The receiver may be
    /// cloned and outlives [`Delivery::drain`].
    pub fn receipts(&self) -> &Receiver<Receipt> {
        &self.receipts
    }

    /// Takes new settings. What waits for a notifier whose settings changed goes with the new ones;
    /// one that is gone sends what it has. An error changes nothing.
    pub fn update(&mut self, settings: Vec<Settings>) -> io::Result<()> {
        if settings.is_empty() {
            return Ok(());
        }
        let client = match &self.thread {
            Some(thread) => thread.client.clone(),
            None => http::client()?,
        };
        let notifiers: Vec<Arc<Notifier>> = settings
            .into_iter()
            .map(|settings| Notifier::open(settings, &client).map(Arc::new))
            .collect::<io::Result<_>>()?;
        if self.thread.is_none() {
            self.thread = Some(Thread::start(Arc::clone(&self.office), client)?);
        }
        let thread = self.thread.as_ref().expect("it was just started");
        let _ = thread.commands.send(Command::Update(notifiers));
        Ok(())
    }

    /// Delivers what it can within `deadline` and ends. Returns the numbers that got no receipt.
    pub fn drain(mut self, deadline: Duration) -> Vec<u64> {
        if let Some(thread) = self.thread.take() {
            let _ = thread.commands.send(Command::Drain(deadline));
            drop(thread.commands);
            if thread.join.join().is_err() {
                (self.office.say)("our own fault: the thread of the notifiers ended in a panic");
            }
        }
        let open = self
            .office
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.iter().copied().collect()
    }
}

impl Notifier {
    fn open(settings: Settings, client: &reqwest::Client) -> io::Result<Notifier> {
        let texts = Texts::new(
            settings.title.as_deref(),
            settings.text.as_deref(),
            settings.channel.contract().escape(),
        )
        .map_err(|reason| {
            let message = format!("notifier \"{}\": {reason}", settings.name);
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        Ok(Notifier {
            settings,
            texts,
            client: client.clone(),
        })
    }
}

impl Thread {
    fn start(office: Arc<Office>, client: reqwest::Client) -> io::Result<Thread> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("weir-notify-io")
            .build()?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let join = std::thread::Builder::new()
            .name("weir-notify".to_owned())
            .spawn(move || {
                runtime.block_on(serve(office, receiver));
                // A write to a full pipe may never end; nobody waits for it.
                runtime.shutdown_background();
            })?;
        Ok(Thread {
            commands,
            join,
            client,
        })
    }
}

/// The thread's work: hands out what comes to the lanes.
async fn serve(office: Arc<Office>, mut commands: UnboundedReceiver<Command>) {
    let mut lanes: HashMap<String, (Arc<Notifier>, UnboundedSender<Work>)> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut deadline = Duration::ZERO;
    while let Some(command) = commands.recv().await {
        match command {
            Command::Send(notification) => match lanes.get(&notification.notifier) {
                Some((_, lane)) => {
                    let _ = lane.send(Work::Send(notification));
                }
                None => unknown(&office, *notification),
            },
            Command::Update(notifiers) => {
                for notifier in notifiers {
                    match lanes.get_mut(&notifier.settings.name) {
                        Some((current, _)) if current.settings == notifier.settings => {}
                        Some((current, lane)) => {
                            *current = Arc::clone(&notifier);
                            let _ = lane.send(Work::Notifier(notifier));
                        }
                        None => {
                            let (sender, works) = mpsc::unbounded_channel();
                            let lane = Lane::new(Arc::clone(&notifier), Arc::clone(&office));
                            tasks.spawn(lane.run(works));
                            lanes.insert(notifier.settings.name.clone(), (notifier, sender));
                        }
                    }
                }
            }
            Command::Drain(within) => {
                deadline = within;
                break;
            }
        }
    }
    for (_, (_, lane)) in lanes.drain() {
        let _ = lane.send(Work::Hurry);
    }
    let until = Instant::now() + deadline;
    let rest = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout_at(until.into(), rest).await;
}

/// Nobody has the name that the notification is for.
fn unknown(office: &Office, notification: Notification) {
    let reason = "there is no notifier of this name";
    office.dead_letter(&notification.notifier, &notification, None, reason);
    (office.say)(&format!("notifier \"{}\": {reason}", notification.notifier));
    office.receipt(Receipt {
        number: notification.number,
        notifier: notification.notifier,
        outcome: Outcome::Dead,
        attempts: 0,
        answer: reason.to_owned(),
    });
}
