//! What can be typed: every flag with its meaning and its `WEIR_*` twin.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::units;

/// Reads logs and metrics and reports what went wrong, how often and since when.
///
/// Without a command, weir reads every FILE to its end and prints a report: levels over time, unique
/// messages with their counts, and percentiles of every number that looks like CPU, memory or
/// latency. It reads standard input if no FILE is named or a FILE is -. It recognises the format of
/// each record by itself.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, made once")]
pub enum Command {
    /// Write the records that pass, unchanged and in order
    Filter(FilterArgs),
    /// Make one report from the snapshots of several runs
    Merge(MergeArgs),
    /// Show how weir reads one line: format, fields, level, time, fingerprint, and why it passes or not
    Explain(ExplainArgs),
    /// Run a configuration until it is stopped, or run a command and watch its output
    Run(RunArgs),
    /// List every mistake in a configuration
    Check(CheckArgs),
    /// Run the [[test]] cases of a configuration
    Test(TestArgs),
    /// Show which alerts a configuration would have sent for recorded logs, when, and to which notifiers
    Replay(ReplayArgs),
    /// Edit a baseline: the file of messages that new() in a rule ignores
    Baseline {
        #[command(subcommand)]
        command: BaselineCommand,
    },
    /// Show a configuration as weir understands it
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Show what a state directory holds, or forget a key after you have dealt with it
    State {
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Silence alerts for a time by hand; a run that goes on sees it within a second
    Silence {
        #[command(subcommand)]
        command: crate::cli::silence::SilenceCommand,
    },
    /// List every attempt to send a notification: its alerts, its time, the notifier and the answer
    Alerts(AlertsArgs),
    /// Print shell completions
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
    /// Print the JSON Schema of a report or of the configuration
    Schema {
        #[arg(value_enum)]
        what: SchemaKind,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaKind {
    Report,
    Config,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration that all files make together, and the file and line of each value; secrets
    /// are masked
    Show(ShowArgs),
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Print states, sets and firing alerts; this works while the run goes on
    Show(StateShowArgs),
    /// Forget keys of a state, so that the next start resolves their alerts; stop the run first
    Ack(StateAckArgs),
}

/// How a command prints what it has found.
#[derive(Debug, Args)]
pub struct OutputFormat {
    /// Output format: text for people, json for programs
    #[arg(
        short,
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_OUTPUT",
        help_heading = "Output"
    )]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct StateShowArgs {
    /// The state directory
    #[arg(value_name = "DIR", conflicts_with_all = ["state", "config"])]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub place: StatePlace,
    #[command(flatten)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub struct StateAckArgs {
    #[command(flatten)]
    pub place: StatePlace,
    /// The state's name
    pub name: String,
    /// The key to forget; if a key has several fields, name all of them: app=shop,region=eu
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
}

/// Which state directory.
#[derive(Debug, Args)]
pub struct StatePlace {
    /// The state directory; without it, the one that the configuration (-c) names
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub config: ConfigChoice,
}

/// Which configuration, for commands that also do without one.
#[derive(Clone, Debug, Args)]
pub struct ConfigChoice {
    /// Configuration file (TOML); repeat it to override the first file with further ones. WEIR_CONFIG
    /// separates several files with :
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        env = "WEIR_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Vec<PathBuf>,
    /// Override the files with the table [env.NAME]
    #[arg(
        long,
        value_name = "NAME",
        env = "WEIR_ENV",
        help_heading = "Configuration"
    )]
    pub env: Option<String>,
}

/// Which configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); repeat it to override the first file with further ones. WEIR_CONFIG
    /// separates several files with :
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        required = true,
        env = "WEIR_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Vec<PathBuf>,
    /// Override the files with the table [env.NAME]
    #[arg(
        long,
        value_name = "NAME",
        env = "WEIR_ENV",
        help_heading = "Configuration"
    )]
    pub env: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigChoice,
    /// Reload the configuration when one of its files changes; SIGHUP reloads it at any time
    #[arg(long, env = "WEIR_WATCH_CONFIG", help_heading = "Configuration")]
    pub watch_config: bool,
    /// Directory for positions, state and undelivered notifications; overrides state_dir
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    /// Show only errors on standard error: no notes, and no summary after a command
    #[arg(short, long, env = "WEIR_QUIET", help_heading = "Output")]
    pub quiet: bool,
    /// Format of weir's own messages on standard error
    #[arg(
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_LOG_FORMAT",
        help_heading = "Output"
    )]
    pub log_format: LogFormat,
    /// End the program after this time, first with SIGTERM, then with SIGKILL
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = time_limit,
        env = "WEIR_TIMEOUT",
        help_heading = "Command"
    )]
    pub timeout: Option<Duration>,
    /// Send an alert with the last lines of output if the program fails: to a notifier of the configuration,
    /// a URL (webhook) or a mail address; can be given several times
    #[arg(
        long,
        value_name = "NAME|URL|ADDRESS",
        env = "WEIR_ON_FAILURE",
        help_heading = "Command"
    )]
    pub on_failure: Vec<String>,
    /// A program to run, with its arguments; weir passes its output on unchanged, watches it, and exits
    /// with its exit code
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// Add every message in the logs to the baseline
    Learn(BaselineLogs),
    /// Print the messages in the logs that are not in the baseline; exit with 1 if there are any
    Diff(BaselineLogs),
    /// Add single messages to the baseline: an example of each, or its fingerprint (f1:…)
    Ack {
        /// The baseline file; weir creates it if it does not exist
        file: PathBuf,
        #[arg(value_name = "MESSAGE", required = true)]
        messages: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct BaselineLogs {
    /// The baseline file
    pub file: PathBuf,
    /// Logs to read; - is standard input
    #[arg(value_name = "LOG", required = true)]
    pub logs: Vec<OsString>,
    /// Take messages of this level and above; trace takes every record
    #[arg(short, long, value_enum, ignore_case = true, default_value = "warn")]
    pub level: LevelArg,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Recorded files or globs, oldest first; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<OsString>,
    /// Compare with this other configuration, and show only the differences
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub against: Vec<PathBuf>,
    #[command(flatten)]
    pub format: OutputFormat,
    /// Format of weir's own messages on standard error
    #[arg(
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_LOG_FORMAT",
        help_heading = "Output"
    )]
    pub log_format: LogFormat,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also show what a run would do, and what each output guarantees after a crash
    #[arg(long, help_heading = "Output")]
    pub plan: bool,
    /// The state directory that the run will use; overrides state_dir. The check does not touch it
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also show the default values that no file sets
    #[arg(long, help_heading = "Output")]
    pub defaults: bool,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub following: FollowArgs,
    #[command(flatten)]
    pub select: SelectArgs,

    /// List messages of this level and above; trace also lists records without a level
    #[arg(
        short,
        long,
        value_enum,
        ignore_case = true,
        default_value = "warn",
        env = "WEIR_LEVEL",
        help_heading = "Report"
    )]
    pub level: LevelArg,
    /// Group by these fields, separated by commas; repeat it for another table
    #[arg(
        long,
        value_name = "FIELD[,FIELD]",
        env = "WEIR_BY",
        help_heading = "Report"
    )]
    pub by: Vec<String>,
    /// Show the distribution of this numeric field, instead of those weir finds by name (repeatable)
    #[arg(
        long,
        value_name = "FIELD",
        env = "WEIR_METRIC",
        help_heading = "Report"
    )]
    pub metric: Vec<String>,
    /// Rows of each table [default: 20 in text, all in JSON]
    #[arg(long, value_name = "N", env = "WEIR_TOP", help_heading = "Report")]
    pub top: Option<usize>,
    /// Also write the state of the run to this file, for `weir merge`
    #[arg(
        long,
        value_name = "FILE",
        env = "WEIR_SNAPSHOT",
        help_heading = "Report"
    )]
    pub snapshot: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct FilterArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub following: FollowArgs,
    #[command(flatten)]
    pub select: SelectArgs,

    /// Take only records of this level and above
    #[arg(
        short,
        long,
        value_enum,
        ignore_case = true,
        env = "WEIR_LEVEL",
        help_heading = "Lines"
    )]
    pub level: Option<LevelArg>,
    /// Print the number of records that pass instead of the records
    #[arg(short, long, help_heading = "Lines")]
    pub count: bool,
    /// Print only the first of the records that have the same line, message or template
    #[arg(
        long,
        value_enum,
        env = "WEIR_DEDUP",
        help_heading = "Lines",
        conflicts_with = "count"
    )]
    pub dedup: Option<DedupArg>,
    /// With --dedup: print one line with the count for each span of the log's own time, for example 5m
    #[arg(
        long,
        value_name = "DURATION",
        env = "WEIR_EVERY",
        help_heading = "Lines",
        requires = "dedup"
    )]
    pub every: Option<String>,
    /// Also print N records after each one that passes
    #[arg(short = 'A', long, value_name = "N", help_heading = "Lines", conflicts_with_all = ["count", "dedup"])]
    pub after_context: Option<usize>,
    /// Also print N records before each one that passes; those that wait take 64 MiB at most
    #[arg(short = 'B', long, value_name = "N", help_heading = "Lines", conflicts_with_all = ["count", "dedup"])]
    pub before_context: Option<usize>,
    /// Also print N records before and after each one that passes
    #[arg(short = 'C', long, value_name = "N", help_heading = "Lines", conflicts_with_all = ["count", "dedup"])]
    pub context: Option<usize>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub rotation: RotateArgs,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Files written with --snapshot, oldest first
    #[arg(required = true, value_name = "SNAPSHOT")]
    pub snapshots: Vec<PathBuf>,
    /// Rows of each table
    #[arg(long, value_name = "N", env = "WEIR_TOP")]
    pub top: Option<usize>,
    /// Also write the merged state to this file
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The line to explain
    pub line: OsString,
    /// Configuration file (TOML): also show which of its parts take the line; repeat it to override the
    /// first file with further ones
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        help_heading = "Configuration",
        conflicts_with_all = ["literals", "condition", "since", "until", "level"]
    )]
    pub config: Vec<PathBuf>,
    /// With -c: override the files with the table [env.NAME]
    #[arg(
        long,
        value_name = "NAME",
        requires = "config",
        help_heading = "Configuration"
    )]
    pub env: Option<String>,
    #[command(flatten)]
    pub select: SelectArgs,
    /// The level that a record needs in order to pass
    #[arg(short, long, value_enum, ignore_case = true, env = "WEIR_LEVEL")]
    pub level: Option<LevelArg>,
    /// Output format: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text", env = "WEIR_OUTPUT")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// State directory of the run
    #[arg(long, value_name = "DIR", env = "WEIR_STATE")]
    pub state: PathBuf,
    /// List only notifications since then: 2h for the last two hours, or 2026-11-22T10:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Output format: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text", env = "WEIR_OUTPUT")]
    pub output: Format,
}

/// Where lines come from and how they are cut into records.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Files or globs to read; - is standard input. weir unpacks .gz and .zst by itself
    #[arg(value_name = "FILE")]
    pub files: Vec<OsString>,
    /// Threads that parse records [default: number of cores]
    #[arg(
        short,
        long,
        value_name = "N",
        env = "WEIR_THREADS",
        help_heading = "Engine"
    )]
    pub threads: Option<usize>,
    /// Memory for data between reading and writing, for example 16MiB
    #[arg(
        long,
        value_name = "SIZE",
        env = "WEIR_MAX_MEM",
        help_heading = "Engine"
    )]
    pub max_mem: Option<String>,
    /// Read every record without skipping ahead to those that can match
    #[arg(long, hide = true)]
    pub no_prefilter: bool,
}

/// Reading on after the end of a file.
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// Keep reading as files grow, are rotated, truncated or replaced, and as globs match new files. On
    /// a terminal the report updates live; Ctrl-C prints the final one
    #[arg(short, long, env = "WEIR_FOLLOW", help_heading = "Following")]
    pub follow: bool,
    /// Start N lines before the end of each file
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        env = "WEIR_TAIL",
        help_heading = "Following"
    )]
    pub tail: Option<u64>,
    /// Where to start in files that exist at the first start; weir reads later files from their first
    /// byte [default: start with --state, else end]
    #[arg(long, value_enum, env = "WEIR_FROM", help_heading = "Following")]
    pub from: Option<FromArg>,
    /// Do not read files whose path or name matches (repeatable)
    #[arg(
        long,
        value_name = "GLOB",
        env = "WEIR_EXCLUDE",
        help_heading = "Following"
    )]
    pub exclude: Vec<String>,
    /// Keep positions and totals in this directory, so that the next start continues where this one
    /// ended, even after a crash
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    /// Check files at intervals instead of waiting for change notices from the kernel
    #[arg(long, env = "WEIR_POLL", help_heading = "Following")]
    pub poll: bool,
    /// Time to finish writing after SIGTERM or Ctrl-C; a second signal stops at once
    // Less than the 30 s after which Kubernetes kills, more than any drain takes whose sink is alive.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "25s",
        env = "WEIR_GRACE",
        help_heading = "Following"
    )]
    pub grace: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FromArg {
    Start,
    End,
}

/// What becomes of an output file that grows and grows.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// With -f and -O: rename the output to FILE.1 before it exceeds this size, for example 100MiB
    #[arg(
        long,
        value_name = "SIZE",
        env = "WEIR_ROTATE_SIZE",
        help_heading = "Output"
    )]
    pub rotate_size: Option<String>,
    /// With -f and -O: rename the output to FILE.1 when it reaches this age, for example 1d
    #[arg(
        long,
        value_name = "DURATION",
        env = "WEIR_ROTATE_EVERY",
        help_heading = "Output"
    )]
    pub rotate_every: Option<String>,
    /// Number of renamed output files to keep [default: 7]
    #[arg(
        long,
        value_name = "N",
        env = "WEIR_ROTATE_KEEP",
        help_heading = "Output"
    )]
    pub rotate_keep: Option<u32>,
}

/// Which records count.
#[derive(Debug, Args)]
pub struct SelectArgs {
    /// Take only records with this text; repeat it to take records with any of several
    #[arg(
        short = 'm',
        long = "match",
        value_name = "TEXT",
        env = "WEIR_MATCH",
        allow_hyphen_values = true,
        help_heading = "Selection"
    )]
    pub literals: Vec<OsString>,
    /// Ignore ASCII case in --match
    #[arg(short, long, requires = "literals", help_heading = "Selection")]
    pub ignore_case: bool,
    /// Take only records without any --match text
    #[arg(short = 'v', long, requires = "literals", help_heading = "Selection")]
    pub invert_match: bool,
    /// Take only records that meet this condition, for example 'status >= 500 and latency > 250ms'
    #[arg(
        short = 'w',
        long = "where",
        value_name = "EXPR",
        env = "WEIR_WHERE",
        help_heading = "Selection"
    )]
    pub condition: Option<String>,
    /// Take only records at or after this time, or from the last span of time, for example 2h
    #[arg(
        long,
        value_name = "TIME",
        env = "WEIR_SINCE",
        help_heading = "Selection"
    )]
    pub since: Option<String>,
    /// Take only records before this time, or older than a span of time, for example 2h
    #[arg(
        long,
        value_name = "TIME",
        env = "WEIR_UNTIL",
        help_heading = "Selection"
    )]
    pub until: Option<String>,
    /// Read every record as this format [default: auto]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "WEIR_FORMAT",
        help_heading = "Records"
    )]
    pub format: Option<String>,
    /// How lines join into records: auto, off (one line is one record), or a regular expression that
    /// matches the first line of a record
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        env = "WEIR_MULTILINE",
        help_heading = "Records"
    )]
    pub multiline: String,
    /// Read documents of JSON: each element at this path is a record, for example
    /// 'Results[].Vulnerabilities[]'; scalar fields around it count as its own
    #[arg(long, value_name = "PATH", env = "WEIR_EACH", help_heading = "Records")]
    pub each: Option<String>,
    /// Make fields out of the text of messages, for example
    /// 'Failed password for {user} from {ip:ip} port {port:int}'; repeat it, the first that fits counts
    #[arg(
        long,
        value_name = "PATTERN",
        env = "WEIR_EXTRACT",
        help_heading = "Records"
    )]
    pub extract: Vec<String>,
    /// Encoding of the input: utf-8, utf-16le, utf-16be or windows-1252 [default: by its byte order
    /// mark, else utf-8]
    #[arg(
        long,
        value_name = "NAME",
        env = "WEIR_ENCODING",
        help_heading = "Records"
    )]
    pub encoding: Option<String>,
    /// Time zone of times without one, for example Europe/Berlin [default: the zone of this machine]
    #[arg(long, value_name = "ZONE", env = "WEIR_TZ", help_heading = "Records")]
    pub tz: Option<String>,
}

/// What is printed, and where.
#[derive(Debug, Args)]
pub struct OutputArgs {
    #[command(flatten)]
    pub format: OutputFormat,
    /// Write to this file instead of standard output; with -f weir appends to it
    #[arg(
        short = 'O',
        long,
        value_name = "FILE",
        env = "WEIR_TO",
        help_heading = "Output"
    )]
    pub to: Option<PathBuf>,
    /// Exit with 1 if this condition holds at the end, for example 'count(level >= error) > 0'
    #[arg(
        long,
        value_name = "EXPR",
        env = "WEIR_FAIL_ON",
        help_heading = "Output"
    )]
    pub fail_on: Option<String>,
    /// When to use colours
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        env = "WEIR_COLOR",
        help_heading = "Output"
    )]
    pub color: Color,
    /// Pass control characters of the input to the terminal
    #[arg(long, env = "WEIR_RAW", help_heading = "Output")]
    pub raw: bool,
    /// Show only errors on standard error: no progress bar, no notes
    #[arg(short, long, env = "WEIR_QUIET", help_heading = "Output")]
    pub quiet: bool,
    /// Format of weir's own messages on standard error
    #[arg(
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_LOG_FORMAT",
        help_heading = "Output"
    )]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// One JSON object per line, with time and message
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    Trace,
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    #[value(alias = "err")]
    Error,
    Fatal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DedupArg {
    /// Whole lines
    Exact,
    /// Messages in which numbers, ids and addresses are masked
    Message,
    /// Templates: messages in which other words that vary are masked too
    Template,
}

/// A time limit is longer than nothing.
fn time_limit(text: &str) -> Result<Duration, String> {
    match units::duration_nanoseconds(text)? {
        nanoseconds @ 1.. => Ok(Duration::from_nanos(nanoseconds.unsigned_abs())),
        _ => Err("a time limit is longer than 0s".to_owned()),
    }
}
