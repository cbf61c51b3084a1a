//! A program of the user's own: the notification as JSON on standard input (the webhook's body), the
//! arguments exactly as they stand in the configuration. There is no shell, so nothing that comes
//! from a log can become a command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::net::http::Attempt;
use crate::net::redact;
use crate::notifiers::body;
use crate::notifiers::{Configured, Context, Message, Notify};

/// Bytes of each output that are kept; the rest is read and dropped, so that the program can go on.
const OUTPUT_BYTES_MAX: usize = 4096;

/// How long after its end a program's outputs are read; a child of its own may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Exit codes that say that trying again is of no use (sysexits.h: usage, data, permission,
/// configuration).
const PERMANENT: [i32; 4] = [64, 65, 77, 78];

/// A program that gets the notification as JSON on its standard input.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// The program and its arguments. No shell takes part.
    #[schemars(length(min = 1))]
    argv: Vec<String>,
}

impl Configured for Config {
    type Channel = Command;

    fn resolve(&self, context: &mut Context) -> Option<Command> {
        Some(Command {
            argv: self.argv.clone(),
            hidden: context.secret_variables.clone(),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Program and arguments, at least the program.
    pub argv: Vec<String>,
    /// Environment variables that hold secrets of the configuration: the program does not get them. A
    /// variable that it needs goes under a name of its own.
    pub hidden: Vec<String>,
}

/// Words in the names of variables of weir itself (`WEIR_…`) that hold a secret.
const SECRET_WORDS: [&str; 4] = ["TOKEN", "SECRET", "PASSWORD", "KEY"];

/// Whether a variable of weir's own holds a secret, to go by its name.
fn is_own_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.strip_prefix("WEIR_")
        .is_some_and(|rest| SECRET_WORDS.iter().any(|word| rest.contains(word)))
}

/// Kills a program with all its children, unless it has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Notify for Command {
    fn address(&self) -> String {
        let program = self.argv.first();
        program.map_or(String::new(), |program| format!("{program}: "))
    }

    fn attempts_at_once(&self) -> usize {
        2
    }

    /// Runs the program. Exit code 0 is a delivery. When the caller's deadline passes, the program and
    /// its children are killed.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message {
            notification,
            words,
            ..
        } = message;
        let program = self.argv.first().map_or("", String::as_str);
        let body = body::webhook(notification, words).to_string();
        match run(self, body.as_bytes()).await {
            Ok((status, output)) => {
                let said = redact::answer(&output, &[]);
                let reason = format!("{program}: {status} {said}").trim_end().to_owned();
                match status.code() {
                    Some(0) => Attempt::Delivered {
                        answer: format!("exit code 0 {said}").trim_end().to_owned(),
                    },
                    Some(code) if PERMANENT.contains(&code) => Attempt::Refused { reason },
                    _ => Attempt::Later {
                        reason,
                        after: None,
                    },
                }
            }
            Err(error) => {
                let reason = format!("{program}: {error}");
                match error.kind() {
                    io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::InvalidInput => Attempt::Refused { reason },
                    _ => Attempt::Later {
                        reason,
                        after: None,
                    },
                }
            }
        }
    }
}

async fn run(settings: &Command, body: &[u8]) -> io::Result<(ExitStatus, String)> {
    let Some((program, arguments)) = settings.argv.split_first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no program is named",
        ));
    };
    let mut command = tokio::process::Command::new(program);
    for name in settings.hidden.iter().map(OsString::from) {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_own_secret(name)) {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let leader = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let mut group = Group(leader);
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    let mut said = (Vec::new(), Vec::new());
    let talk = async {
        let write = async {
            // A program that does not read its input is none the worse for it.
            let _ = stdin.write_all(body).await;
            drop(stdin);
        };
        tokio::join!(
            write,
            take(&mut stdout, &mut said.0),
            take(&mut stderr, &mut said.1)
        );
    };
    let ended = {
        tokio::pin!(talk);
        let mut is_over = false;
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended?,
                () = &mut talk, if !is_over => is_over = true,
            }
        };
        if !is_over {
            let _ = tokio::time::timeout(LAST_WORDS, &mut talk).await;
        }
        ended
    };
    group.0 = None;
    let mut text = String::from_utf8_lossy(&said.0).into_owned();
    text.push(' ');
    text.push_str(&String::from_utf8_lossy(&said.1));
    Ok((ended, text))
}

/// Reads to the end and keeps the first bytes.
async fn take(from: &mut (impl AsyncRead + Unpin), to: &mut Vec<u8>) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let room = OUTPUT_BYTES_MAX - to.len();
        to.extend_from_slice(&piece[..count.min(room)]);
    }
}
