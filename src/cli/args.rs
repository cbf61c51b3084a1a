//! What can be typed: every flag with its meaning and its `WEIR_*` twin.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Reads logs and metrics at the speed of the machine and says what went wrong, how often and
/// since when.
///
/// Without a command: reads every FILE to its end (standard input if none, or -) and prints a
/// report of levels over time, unique messages with counts, and percentiles of every CPU-, memory-
/// and latency-like number. Formats are recognised line by line.
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
    /// Write the records that pass, in order, as they come
    Filter(FilterArgs),
    /// Merge snapshots of several runs into one report
    Merge(MergeArgs),
    /// Show how one line is read: format, fields, level, time, fingerprint, and what drops it
    Explain(ExplainArgs),
    /// Do what a configuration says until asked to stop; or run a command and watch its output
    Run(RunArgs),
    /// Say everything that is wrong with a configuration
    Check(CheckArgs),
    /// Run the [[test]] cases of a configuration
    Test(TestArgs),
    /// Say what would have fired over recorded files, when, and who would have been told
    Replay(ReplayArgs),
    /// Keep the file of messages that rules with new() know
    Baseline {
        #[command(subcommand)]
        command: BaselineCommand,
    },
    /// Look into a configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look into a state directory, or forget a key that was seen to
    State {
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Show what notifiers told of which alert, when, to whom and with what answer
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
    /// Print what the files say together, and where each value comes from; secrets are masked
    Show(ShowArgs),
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Print states, sets and firing alerts; the run that writes them may be under way
    Show(StateShowArgs),
    /// Forget keys of a state while no run is under way: what is wrong with them ends with the next start
    Ack(StateAckArgs),
}

#[derive(Debug, Args)]
pub struct StateShowArgs {
    /// The state directory
    #[arg(value_name = "DIR", conflicts_with_all = ["state", "config"])]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub place: StatePlace,
    /// text for eyes, json for programs
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
pub struct StateAckArgs {
    #[command(flatten)]
    pub place: StatePlace,
    /// The state's name
    pub name: String,
    /// The key's value; of a key of several fields all of them: app=shop,region=eu
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
}

/// Which state directory.
#[derive(Debug, Args)]
pub struct StatePlace {
    /// The state directory, instead of that of the configuration (-c)
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
    /// Configuration file (TOML); repeat to lay further files over the first, or separate them by : in
    /// the variable
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        env = "WEIR_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Vec<PathBuf>,
    /// Lay the table [env.NAME] over the files
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
    /// Configuration file (TOML); repeat to lay further files over the first, or separate them by : in
    /// the variable
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        required = true,
        env = "WEIR_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Vec<PathBuf>,
    /// Lay the table [env.NAME] over the files
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
    /// Read the configuration again when a file of it changes; SIGHUP does that at any time
    #[arg(long, env = "WEIR_WATCH_CONFIG", help_heading = "Configuration")]
    pub watch_config: bool,
    /// Directory for places, state and what is not delivered yet, instead of the configured one
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    /// No notes on standard error, and no digest after a command; errors are still shown
    #[arg(short, long, env = "WEIR_QUIET", help_heading = "Output")]
    pub quiet: bool,
    /// How weir's own messages on standard error are written
    #[arg(
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_LOG_FORMAT",
        help_heading = "Output"
    )]
    pub log_format: LogFormat,
    /// The program to run and its arguments: its output goes on as it is and is watched, and its exit
    /// code is kept
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// Add every message of the logs to the file
    Learn(BaselineLogs),
    /// Print the messages of the logs that the file does not know; exit 1 if there are any
    Diff(BaselineLogs),
    /// Add single messages to the file, by an example or by their fingerprint (f1:…)
    Ack {
        /// The baseline file; made if it is not there
        file: PathBuf,
        #[arg(value_name = "MESSAGE", required = true)]
        messages: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct BaselineLogs {
    /// The baseline file
    pub file: PathBuf,
    /// Logs to read, - for standard input
    #[arg(value_name = "LOG", required = true)]
    pub logs: Vec<OsString>,
    /// Messages of this level and above; trace takes every record
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
    /// Files or globs that were recorded, in the order of their time; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<OsString>,
    /// Show only what is otherwise than with this configuration
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub against: Vec<PathBuf>,
    /// text for eyes, json for programs
    #[arg(
        short,
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_OUTPUT",
        help_heading = "Output"
    )]
    pub output: Format,
    /// How weir's own messages on standard error are written
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
    /// Also say what a run would do, and what holds after a crash
    #[arg(long, help_heading = "Output")]
    pub plan: bool,
    /// The state directory that the run will be given, instead of the configured one; it is not touched
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    /// text for eyes, json for programs
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
pub struct ShowArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also show what nobody wrote and holds by default
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

    /// List messages of this level and above; trace lists every record, also those without a level
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
    /// Group by these fields, joined by commas; repeat for separate groupings
    #[arg(
        long,
        value_name = "FIELD[,FIELD]",
        env = "WEIR_BY",
        help_heading = "Report"
    )]
    pub by: Vec<String>,
    /// Distribution of this numeric field instead of those found by name (repeatable)
    #[arg(
        long,
        value_name = "FIELD",
        env = "WEIR_METRIC",
        help_heading = "Report"
    )]
    pub metric: Vec<String>,
    /// Rows of each table; 20 in text, all in JSON unless given
    #[arg(long, value_name = "N", env = "WEIR_TOP", help_heading = "Report")]
    pub top: Option<usize>,
    /// Also write the run's whole state to this file, for `weir merge`
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

    /// Only records of this level and above
    #[arg(
        short,
        long,
        value_enum,
        ignore_case = true,
        env = "WEIR_LEVEL",
        help_heading = "Lines"
    )]
    pub level: Option<LevelArg>,
    /// Print how many records pass, not the records
    #[arg(short, long, help_heading = "Lines")]
    pub count: bool,
    /// Print a record again only when it is new: the same line, message or template
    #[arg(
        long,
        value_enum,
        env = "WEIR_DEDUP",
        help_heading = "Lines",
        conflicts_with = "count"
    )]
    pub dedup: Option<DedupArg>,
    /// With --dedup: one line with the count per this span of the log's own time, for example 5m
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
    /// Also print N records before each one that passes
    #[arg(short = 'B', long, value_name = "N", help_heading = "Lines", conflicts_with_all = ["count", "dedup"])]
    pub before_context: Option<usize>,
    /// Also print N records before and after
    #[arg(short = 'C', long, value_name = "N", help_heading = "Lines", conflicts_with_all = ["count", "dedup"])]
    pub context: Option<usize>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub rotation: RotateArgs,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Snapshots written with --snapshot, in the order of what they saw
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
    /// Configuration file (TOML): what it makes of the line; repeat to lay further files over the first
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        help_heading = "Configuration",
        conflicts_with_all = ["literals", "condition", "since", "until", "level"]
    )]
    pub config: Vec<PathBuf>,
    /// With -c: lay the table [env.NAME] over the files
    #[arg(
        long,
        value_name = "NAME",
        requires = "config",
        help_heading = "Configuration"
    )]
    pub env: Option<String>,
    #[command(flatten)]
    pub select: SelectArgs,
    #[arg(short, long, value_enum, ignore_case = true, env = "WEIR_LEVEL")]
    pub level: Option<LevelArg>,
    #[arg(short, long, value_enum, default_value = "text", env = "WEIR_OUTPUT")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// State directory of the run
    #[arg(long, value_name = "DIR", env = "WEIR_STATE")]
    pub state: PathBuf,
    /// Only what was told since then: 2h, or 2026-11-22T10:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    #[arg(short, long, value_enum, default_value = "text", env = "WEIR_OUTPUT")]
    pub output: Format,
}

/// Where lines come from and how they are cut into records.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Files or globs to read, - for standard input; .gz and .zst are read as they are
    #[arg(value_name = "FILE")]
    pub files: Vec<OsString>,
    /// Mapper threads; reading, folding and writing have their own [default: cores]
    #[arg(
        short,
        long,
        value_name = "N",
        env = "WEIR_THREADS",
        help_heading = "Engine"
    )]
    pub threads: Option<usize>,
    /// Bytes that may be in flight between reading and writing, for example 16MiB
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
    /// Go on as files grow and are rotated, truncated or replaced, and as globs match new ones; the
    /// report is shown live on a terminal, the final one at Ctrl-C
    #[arg(short, long, env = "WEIR_FOLLOW", help_heading = "Following")]
    pub follow: bool,
    /// Begin N lines before the end of each file
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        env = "WEIR_TAIL",
        help_heading = "Following"
    )]
    pub tail: Option<u64>,
    /// Where files begin that are there at the first start; later ones are read whole
    /// [default: start with --state, else end]
    #[arg(long, value_enum, env = "WEIR_FROM", help_heading = "Following")]
    pub from: Option<FromArg>,
    /// Leave out files whose path or name matches (repeatable)
    #[arg(
        long,
        value_name = "GLOB",
        env = "WEIR_EXCLUDE",
        help_heading = "Following"
    )]
    pub exclude: Vec<String>,
    /// Keep positions and totals in this directory: the next start goes on where this one ended,
    /// also after a crash
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_STATE",
        help_heading = "Following"
    )]
    pub state: Option<PathBuf>,
    /// Look at files from time to time instead of asking the kernel to tell of changes
    #[arg(long, env = "WEIR_POLL", help_heading = "Following")]
    pub poll: bool,
    /// How long what was read may take to be written after SIGTERM or Ctrl-C; a second signal ends
    /// at once
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
    /// With -f and -O: rename the output to FILE.1 before it grows past this, for example 100MiB
    #[arg(
        long,
        value_name = "SIZE",
        env = "WEIR_ROTATE_SIZE",
        help_heading = "Output"
    )]
    pub rotate_size: Option<String>,
    /// With -f and -O: rename the output to FILE.1 when it is this old, for example 1d
    #[arg(
        long,
        value_name = "DURATION",
        env = "WEIR_ROTATE_EVERY",
        help_heading = "Output"
    )]
    pub rotate_every: Option<String>,
    /// How many renamed output files stay [default: 7]
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
    /// Only records with this text; repeat for any of several
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
    /// Only records without any --match text
    #[arg(short = 'v', long, requires = "literals", help_heading = "Selection")]
    pub invert_match: bool,
    /// Only records for which this holds, for example 'status >= 500 and latency > 250ms'
    #[arg(
        short = 'w',
        long = "where",
        value_name = "EXPR",
        env = "WEIR_WHERE",
        help_heading = "Selection"
    )]
    pub condition: Option<String>,
    /// Only records at or after this time, or of the last DURATION, for example 2h
    #[arg(
        long,
        value_name = "TIME",
        env = "WEIR_SINCE",
        help_heading = "Selection"
    )]
    pub since: Option<String>,
    /// Only records before this time, or older than DURATION
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
    /// How lines join to records: auto, off, or a REGEX that matches a record's first line
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        env = "WEIR_MULTILINE",
        help_heading = "Records"
    )]
    pub multiline: String,
    /// Time zone of times that name none, for example Europe/Berlin [default: the host's]
    #[arg(long, value_name = "ZONE", env = "WEIR_TZ", help_heading = "Records")]
    pub tz: Option<String>,
}

/// What is printed, and where.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// text for eyes, json for programs
    #[arg(
        short,
        long,
        value_enum,
        default_value = "text",
        env = "WEIR_OUTPUT",
        help_heading = "Output"
    )]
    pub output: Format,
    /// Write to this file instead of standard output; with -f lines are appended to it
    #[arg(
        short = 'O',
        long,
        value_name = "FILE",
        env = "WEIR_TO",
        help_heading = "Output"
    )]
    pub to: Option<PathBuf>,
    /// Exit with 1 if this holds at the end, for example 'count(level >= error) > 0'
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
    /// Let control characters of the input reach the terminal
    #[arg(long, env = "WEIR_RAW", help_heading = "Output")]
    pub raw: bool,
    /// No progress bar, no notes on standard error; errors are still shown
    #[arg(short, long, env = "WEIR_QUIET", help_heading = "Output")]
    pub quiet: bool,
    /// How weir's own messages on standard error are written
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
    /// One JSON object a line: time and message
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
    /// Messages with what varies masked
    Message,
    /// Messages that no template known so far covers
    Template,
}
