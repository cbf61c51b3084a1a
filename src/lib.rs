//! logweir reads lines of logs and metrics as they are written and answers what an operator asks:
//! which errors, how many of each, since when, how are CPU, memory and latency distributed, what is in
//! a bad state or silent, and whom to tell — and shows that no line went missing. The command is `weir`;
//! this library is its inside.
//!
//! # The code map
//!
//! First the rooms that decide what runs, then those that bytes pass through, then what all of them may
//! use. `tests/it/tidy.rs` has the list of which room may use which.
//!
//! | room | what it does | what must not be in it |
//! |---|---|---|
//! | [`cli`] | what was typed becomes a plan, a run and an exit code; one file a command | threads, queues |
//! | [`config`] | [`config::Config`], the image of the TOML files, checked | running things |
//! | [`plan`] | [`plan::Plan`] from flags or from a configuration: names resolved, patterns compiled, wanted fields known, secrets read | names of flags in types; I/O but for secrets and baselines |
//! | [`run`] | what lives while a run lives: start, reload, the clock of rules, summaries, delivery | flags, formats |
//! | [`process`] | signals, the service manager, descriptors, lines on standard error | data |
//! | `registry` | the one page that lists every component | their code |
//! | [`component`] | what components of every kind say about their keys, and what they may ask for | |
//! | [`sources`] | where bytes come from: files, followed files, standard input, programs, gzip and zstd | records |
//! | [`framing`] | bytes to records: chunks, lines, stack traces, containers' partial lines | I/O |
//! | [`parsers`] | a record to time, level, message and wanted fields; one file a format | I/O, state between records that changes a result |
//! | [`expr`] | the condition language of `--where`, `--fail-on` and rules | |
//! | [`stages`] | the map half: literals, fingerprints, distinct messages, numbers | state between batches |
//! | [`state`] | the fold half: ledger, messages, templates, groups, metrics, timeline, keyed states, sets | clocks, threads |
//! | [`rules`] | windows, when a rule holds, the life of alerts, who is notified of them and when | sending |
//! | [`engine`] | threads and queues: reader, mappers, fold, writer | formats, protocols |
//! | [`store`] | the state directory: checkpoints, the journal of outputs, recovery; [`store::look`] reads it from outside of the run | |
//! | [`sinks`] | where lines and reports go | alerts |
//! | [`notifiers`] | where alerts go, and their delivery: order, retries, dead letters | lines |
//! | [`report`] | the finished report as text, JSON and Prometheus metrics | |
//! | [`net`] | the network's edge: one HTTP client, when to try again, what may be shown | alerts, lines |
//! | [`flow`] | what travels: chunks, spans, rows, batches, columns | I/O, threads |
//! | [`disk`] | the file system as following and checkpoints need it, behind a trait | decisions |
//! | [`clock`] | the two clocks of a live run, behind a trait | |
//! | [`error`] | a message with the exit code that it asks for | |
//! | [`stop`] | the request that a run ends | |
//! | [`failpoint`] | where a test makes the program lose something or panic; nothing of it is in a release | |
//! | [`units`] | quantities as people write them | |
//!
//! # The flow
//!
//! ```text
//! source ─chunk─▶ reader ─Batch─▶ mappers (1..n): frame ▸ parse ▸ filter ▸ dedup ▸ aggregate
//!                                     │ Mapped: counts, kept lines, what is unique in the batch
//!                                     ▼
//!                                  fold (1 thread, in order of reading): all state
//!                                     │ Output
//!                                     ▼
//!                                  writer ─▶ sink
//! ```
//!
//! Mappers are pure: the same batch and plan give the same [`flow::mapped::Mapped`]. The fold alone
//! has state ([`state::State`]), one value that can be written, read and merged. One byte budget
//! ([`engine::budget::Budget`]) covers everything in flight.
//!
//! # The laws
//!
//! Each that the program can break is a test in `tests/it/laws.rs`; comments in the code name them by
//! these numbers.
//!
//! 1. **Chunking.** However the input is cut into reads and however many threads run, the output is
//!    the same, byte for byte. So the reader cuts only where a record surely starts
//!    ([`framing::cut`]), tables admit newcomers in record order, and sums are taken in record order.
//! 2. **Conservation.** `records = kept + filtered + duplicate + malformed + held`, counted by reader,
//!    mappers and writer apart; what differs is `unaccounted`, and the exit code is 3
//!    ([`state::ledger::Ledger`]). No checkpoint passes over it. A record that makes us panic is kept as
//!    plain text, counted as `faulted`, and named ([`engine::mapper::careful`]): its line is out, so the
//!    exit code stays what it was. A panic behind the mappers stops the run, and a restart goes on from
//!    the last checkpoint.
//! 3. **Crash.** Kill a follower anywhere, any number of times: a restart on the same state directory ends
//!    with the same output file and the same totals as a run that never stopped, over the bytes that still
//!    exist. Places, state and what was sent are one value at a batch border
//!    ([`store::checkpoint::Checkpoint`]); the journal names each output before its bytes go out
//!    ([`store::journal`]), with the bytes of files that it was made of ([`flow::mark::Mark`]); after a
//!    kill both are compared with the output ([`store::recover`]), and what cannot be read again is
//!    named ([`state::losses::Losses`]).
//! 4. **Merge.** State of A followed by B = merge of both ([`state::State::merge`]), as long as no limit
//!    is reached; totals stay exact beyond it.
//! 5. **A prefilter or a guess never changes a result**: not the literal search over a chunk, not the
//!    schema memory of [`parsers::json`], not the last second that a [`parsers::time::Clock`] remembers.
//! 6. **Every queue, table, line and wait has a limit** with a name; what it refuses is counted and shown.
//! 7. **Bad data is a number and a sample; a person's mistake is a message with place, cause and remedy;
//!    our own bug is an assert.**
//!
//! # Where we left the design, and why
//!
//! * Kept lines are copied into one buffer a batch by the mappers instead of being written as spans:
//!   the copy runs on all cores, and the chunk goes back to the reader at once.
//! * Mappers read plain files themselves; the reader looks at the last lines of each stretch to find
//!   where a record surely starts ([`flow::batch::Content`]). The copy out of the page cache is then made
//!   on all cores, into a buffer that is still in the cache when it is parsed.
//! * The byte budget is 8 MiB by default. 16 and 32 MiB made no run faster on two cores, 4 MiB made some
//!   slower; for a pipe it is memory.
//! * A chunk is 512 KiB: what a batch costs is spread over thousands of records, and the chunk
//!   still stands in a core's cache when it is parsed.
//! * Framing and parsing meet in [`engine::mapper`], so that the stages stay pure functions of rows.

#[macro_use]
mod registry;

pub mod cli;
pub mod clock;
pub mod component;
pub mod config;
pub mod disk;
pub mod engine;
pub mod error;
pub mod expr;
pub mod failpoint;
pub mod flow;
pub mod framing;
pub mod net;
pub mod notifiers;
pub mod parsers;
pub mod plan;
pub mod process;
pub mod report;
pub mod rules;
pub mod run;
pub mod sinks;
pub mod sources;
pub mod stages;
pub mod state;
pub mod stop;
pub mod store;
pub mod units;
