//! Notifiers, sinks and sources as they run: addresses read, secrets fetched.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{LinesSink, Purpose, Resolver, Sources, nanoseconds, path};
use crate::component;
use crate::config::Config;
use crate::config::alerting::{self, Notifier};
use crate::config::input;
use crate::config::load::PathStep;
use crate::config::output::Sink;
use crate::config::secret;
use crate::config::secret::variable;
use crate::flow::output::{Branches, Dedup, DedupMode, LinesTask};
use crate::flow::secret::Secret;
use crate::flow::time::Time;
use crate::notifiers::heartbeat;
use crate::notifiers::text::{Escape, Texts};
use crate::notifiers::{self, Rate, Settings, stdout};
use crate::plan::flags;
use crate::plan::overlap::Outputs;
use crate::plan::setup::quiet::hours_of;
use crate::plan::{Branch, KeptLines};
use crate::rules::intervals::Hours;
use crate::rules::routing::{RouteSettings, Silence};
use crate::sinks::{self, Target, What, prometheus};
use crate::sources::file::Settings as Files;
use crate::sources::follow::patterns::is_glob;
use crate::sources::{Origin, Shared, Stream};
use crate::stages::literals::Literals;
use crate::units;

/// The notifier that is there if none is configured: whoever writes a rule wants to see its alerts.
const DEFAULT: &str = "stdout";

/// The conditions of sinks of lines, each once, with the first sink that has it; the one of the first sink
/// stands first.
#[derive(Default)]
pub(super) struct Branching<'c> {
    pub branches: Vec<(Option<&'c str>, usize)>,
    /// The sink whose output the journal explains.
    pub first: Option<usize>,
}

impl Branching<'_> {
    pub fn of(config: &Config) -> Branching<'_> {
        let sinks = config.sink.iter().enumerate();
        let lines =
            sinks.filter_map(|(place, sink)| Some((condition_of_lines(sink)?, place, sink)));
        let mut lines: Vec<(Option<&str>, usize, &Sink)> = lines.collect();
        // Stable: the first file, or else the first sink.
        lines.sort_by_key(|(_, _, sink)| sink.to.file().is_none());
        let mut branching = Branching {
            first: lines.first().map(|(_, place, _)| *place),
            ..Branching::default()
        };
        for (condition, place, _) in lines {
            let mut known = branching.branches.iter();
            if known.all(|(known, _)| *known != condition) {
                branching.branches.push((condition, place));
            }
        }
        branching
    }

    fn branch_of(&self, sink: &Sink) -> usize {
        let condition = condition_of_lines(sink).flatten();
        let mut branches = self.branches.iter();
        let place = branches.position(|(known, _)| *known == condition);
        place.unwrap_or(0)
    }
}

/// The condition of a sink, if it is one of lines.
fn condition_of_lines(sink: &Sink) -> Option<Option<&str>> {
    let (what, condition) = sink.to.writes()?;
    (what == What::Lines).then_some(condition)
}

/// Where lines, summaries and pages go.
#[derive(Default)]
pub(super) struct Places {
    pub lines: Vec<LinesSink>,
    pub summaries: Vec<Target>,
    pub endpoint: Option<prometheus::Settings>,
}

/// Names of those who are told of a rule's alerts.
pub(super) fn told(config: &Config, notify: &[String]) -> Vec<String> {
    let mut told = notify.to_vec();
    told.extend(alert_sinks(config).map(|(place, _)| sink_name(place)));
    if config.notifier.is_empty() && alert_sinks(config).next().is_none() {
        told.push(DEFAULT.to_owned());
    }
    told
}

/// Sinks that are told of every alert.
fn alert_sinks(config: &Config) -> impl Iterator<Item = (usize, &Sink)> {
    let sinks = config.sink.iter().enumerate();
    sinks.filter_map(|(place, sink)| {
        let (what, _) = sink.to.writes()?;
        (what == What::Alerts).then_some((place, sink))
    })
}

/// A name that no notifier of the configuration can have.
fn sink_name(place: usize) -> String {
    format!("[[sink]] {}", place + 1)
}

/// One table of a list of the configuration, for the component that it configures.
struct Entry<'e, 'l> {
    resolver: &'e mut Resolver<'l>,
    table: &'static str,
    place: usize,
}

impl<'e, 'l> Entry<'e, 'l> {
    fn new(resolver: &'e mut Resolver<'l>, table: &'static str, place: usize) -> Entry<'e, 'l> {
        Entry {
            resolver,
            table,
            place,
        }
    }
}

impl component::Resolver for Entry<'_, '_> {
    fn secret(&mut self, key: &str) -> Option<Secret> {
        self.resolver.secret(self.table, self.place, key)
    }

    fn note(&mut self, key: &str, text: String) {
        let origin = self.resolver.loaded.at(&path(self.table, self.place, key));
        let note = format!("{}:{}: {text}", origin.file(), origin.line());
        self.resolver.notes.push(note);
    }
}

impl Resolver<'_> {
    /// Who can be told, and how.
    pub(super) fn notifiers(&mut self, config: &Config) -> Vec<Settings> {
        let mut made = Vec::new();
        for (place, notifier) in config.notifier.iter().enumerate() {
            let Some(channel) = self.channel(notifier, place) else {
                continue;
            };
            let texts = [("title", &notifier.title), ("text", &notifier.text)];
            for (key, text) in texts {
                let checked = Texts::new(text.as_deref(), None, Escape::None);
                if let Err(error) = checked {
                    self.wrong(&path("notifier", place, key), error, None);
                }
            }
            made.push(Settings {
                name: notifier.name.clone(),
                channel,
                timeout: units::duration(&notifier.timeout),
                give_up: units::duration(&notifier.give_up),
                rate: rate(&notifier.rate),
                title: notifier.title.clone(),
                text: notifier.text.clone(),
            });
        }
        for (place, sink) in alert_sinks(config) {
            let channel = self.target(sink, place).and_then(|target| target.channel());
            made.extend(channel.map(|channel| plain(&sink_name(place), channel)));
        }
        if made.is_empty() && config.notifier.is_empty() {
            made.push(plain(DEFAULT, notifiers::Channel::Stdout(stdout::Stdout)));
        }
        made
    }

    fn channel(&mut self, notifier: &Notifier, place: usize) -> Option<notifiers::Channel> {
        let secret_variables = self.loaded.secret_variables();
        notifier.channel.resolve(&mut notifiers::Context {
            resolver: &mut Entry::new(self, "notifier", place),
            secret_variables,
            repeat_interval: units::duration(&notifier.repeat_interval),
        })
    }

    fn target(&mut self, sink: &Sink, place: usize) -> Option<Target> {
        let (grace, dead_letters) = (self.grace, self.dead_letters.clone());
        sink.to.resolve(&mut sinks::Context {
            resolver: &mut Entry::new(self, "sink", place),
            name: sink_name(place),
            grace,
            dead_letters,
        })
    }

    /// The secret of an entry that stands in the key `name`, in the environment or in a file; `None` if
    /// no key is given, or after a mistake. Nothing is fetched for a replay.
    fn secret(&mut self, table: &str, place: usize, name: &str) -> Option<Secret> {
        if self.purpose == Purpose::Replay {
            return Some(Secret::new(""));
        }
        let path = [PathStep::Key(table), PathStep::Index(place)];
        match secret::resolve(self.loaded, &path, name, &variable) {
            Ok(resolved) => {
                let resolved = resolved?;
                self.notes.extend(resolved.warning);
                Some(resolved.secret)
            }
            Err(problem) if self.purpose == Purpose::Check => {
                // Whoever checks a file need not be where it runs.
                self.notes.push(problem.in_short());
                Some(Secret::new(""))
            }
            Err(problem) => {
                self.problems.add(problem);
                None
            }
        }
    }

    /// Which addresses are pinged, and how often.
    pub(super) fn heartbeats(&mut self, list: &[alerting::Heartbeat]) -> Vec<heartbeat::Settings> {
        let mut made = Vec::new();
        for (place, heartbeat) in list.iter().enumerate() {
            if let Some(url) = self.secret("heartbeat", place, "url") {
                let every = units::duration(&heartbeat.every);
                made.push(heartbeat::Settings { url, every });
            }
        }
        made
    }

    /// How alerts are grouped for each notifier.
    pub(super) fn routes(&mut self, config: &Config) -> Vec<RouteSettings> {
        let route = |notifier: &Notifier| {
            let digest = notifier.digest.as_deref().map(nanoseconds);
            RouteSettings {
                name: notifier.name.clone(),
                group_by: if notifier.group_by.is_empty() && digest.is_none() {
                    vec!["...".to_owned()]
                } else {
                    notifier.group_by.clone()
                },
                group_wait: digest.unwrap_or(nanoseconds(&notifier.group_wait)),
                group_interval: match (digest, &notifier.group_interval) {
                    (Some(digest), _) => digest,
                    (None, Some(interval)) => nanoseconds(interval),
                    (None, None) if is_alone(notifier) => 0,
                    (None, None) => GROUP_INTERVAL,
                },
                repeat_interval: nanoseconds(&notifier.repeat_interval),
                send_resolved: notifier.send_resolved,
                hours: hours_of(
                    config,
                    &notifier.active_time_intervals,
                    &notifier.mute_time_intervals,
                ),
                is_digest: digest.is_some(),
            }
        };
        let mut routes: Vec<RouteSettings> = config.notifier.iter().map(route).collect();
        let alone = |name: String| RouteSettings {
            name,
            group_by: vec!["...".to_owned()],
            group_wait: 0,
            group_interval: 0,
            // A file is not told twice.
            repeat_interval: i64::MAX / 4,
            send_resolved: true,
            hours: Hours::default(),
            is_digest: false,
        };
        routes.extend(alert_sinks(config).map(|(place, _)| alone(sink_name(place))));
        if routes.is_empty() {
            routes.push(alone(DEFAULT.to_owned()));
        }
        routes
    }

    pub(super) fn silences(&mut self, silences: &[alerting::Silence], now: Time) -> Vec<Silence> {
        let mut made = Vec::new();
        let facts = flags::facts(&self.zone, now);
        for (place, silence) in silences.iter().enumerate() {
            let mut bound = |key: &str, text: &str| match flags::time_bound(key, text, &facts) {
                Ok(time) => Some(time),
                Err(failure) => {
                    self.wrong(&path("silence", place, key), failure.message, None);
                    None
                }
            };
            let from = silence.from.as_deref().and_then(|text| bound("from", text));
            let Some(until) = bound("until", &silence.until) else {
                continue;
            };
            made.push(Silence {
                matchers: silence.labels.clone().into_iter().collect(),
                from,
                until,
                comment: silence.comment.clone().unwrap_or_default(),
            });
        }
        made
    }

    /// Which lines go out, if there is a sink for them.
    pub(super) fn lines(&mut self, config: &Config, branching: &Branching) -> Option<KeptLines> {
        let filter = &config.filter;
        branching.first?;
        let own = [PathStep::Key("filter"), PathStep::Key("where")];
        let condition = self.condition(filter.condition.as_deref(), &own);
        let mut branches = Vec::new();
        for (text, sink) in &branching.branches {
            let path = path("sink", *sink, "where");
            if branches.len() == Branches::MAX {
                let message = format!("more than {} conditions of sinks of lines", Branches::MAX);
                self.wrong(&path, message, Some("run a second weir for the others"));
                break;
            }
            branches.push(Branch {
                text: text.map(str::to_owned),
                condition: self.condition(*text, &path),
            });
        }
        let joined = self.purpose == Purpose::Replay;
        let literals = (!filter.literals.is_empty()).then(|| {
            let literals: Vec<Vec<u8>> = filter
                .literals
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect();
            Literals::new(&literals, filter.ignore_case)
        });
        let dedup = config.dedup.as_ref().map(|dedup| Dedup {
            mode: match dedup.mode {
                input::DedupMode::Exact => DedupMode::Exact,
                input::DedupMode::Message => DedupMode::Message,
                input::DedupMode::Template => DedupMode::Template,
            },
            every: dedup.every.as_deref().map(nanoseconds),
        });
        Some(KeptLines {
            task: LinesTask {
                level: filter.level,
                json: false,
                count: false,
                dedup,
                before: 0,
                after: 0,
                as_they_come: false,
            },
            literals,
            invert: filter.invert,
            condition,
            branches,
            joined,
        })
    }

    /// Where lines and summaries go, and who may ask for pages.
    pub(super) fn places(&mut self, sinks: &[Sink], branching: &Branching) -> Places {
        let mut places = Places::default();
        for (number, sink) in sinks.iter().enumerate() {
            let what = sink.to.writes().map(|(what, _)| what);
            if what == Some(What::Alerts) {
                // Resolved with the notifiers.
                continue;
            }
            let Some(target) = self.target(sink, number) else {
                continue;
            };
            match (what, target) {
                (Some(What::Lines), target) => places.lines.push(LinesSink {
                    target,
                    branch: branching.branch_of(sink),
                    condition: condition_of_lines(sink).flatten().map(str::to_owned),
                    is_first: branching.first == Some(number),
                }),
                (None, Target::Prometheus(endpoint)) => {
                    if places.endpoint.replace(*endpoint).is_some() {
                        let message = "there is one endpoint already";
                        self.wrong(&path("sink", number, "listen"), message, None);
                    }
                }
                (_, target) => places.summaries.push(target),
            }
        }
        places
    }

    /// Refuses files that are written and also read, written by another sink, or the program's own.
    pub(super) fn outputs(&mut self, config: &Config, sources: &Sources, state: Option<&Path>) {
        let mut outputs = Outputs::default();
        let mut places = Vec::new();
        for (place, sink) in config.sink.iter().enumerate() {
            let Some((file, kept)) = sink.to.file() else {
                continue;
            };
            let (role, file) = (sink_name(place), Path::new(file));
            match sink.to.writes() {
                Some((What::Alerts, _)) => outputs.add_alerts(&role, file),
                _ => outputs.add(&role, file, kept),
            }
            places.push(path("sink", place, "path"));
        }
        for (place, notifier) in config.notifier.iter().enumerate() {
            if let Some(file) = notifier.channel.appends_to() {
                outputs.add_alerts(&format!("[[notifier]] {}", place + 1), Path::new(file));
                places.push(path("notifier", place, "path"));
            }
        }
        if let Some(directory) = state {
            outputs.set_state(directory);
        }
        let included = sources.files.iter().flat_map(|files| &files.include);
        let is_path = |name: &&OsString| !is_glob(name) || Path::new(name).exists();
        let mut inputs: Vec<OsString> = included.filter(is_path).cloned().collect();
        inputs.extend(self.loaded.files().map(OsString::from));
        inputs.extend(
            config
                .rule
                .iter()
                .filter_map(|rule| Some(rule.baseline.as_ref()?.into())),
        );
        let mut streams = sources.streams.iter();
        if self.purpose == Purpose::Live && streams.any(|it| it.origin.is_stdin()) {
            inputs.push("-".into());
        }
        for clash in outputs.clashes(&inputs) {
            self.wrong(&places[clash.place], clash.text, None);
        }
    }

    /// Everything that one run reads.
    pub(super) fn sources(&mut self, sources: &[input::Source]) -> Sources {
        let mut found = Sources::default();
        for (place, source) in sources.iter().enumerate() {
            let origin = source.from.resolve();
            if let Some(source) = origin.files() {
                self.files(source, place, &mut found.files);
                continue;
            }
            if let Some((key, message, hint)) = origin.mistake() {
                self.wrong(&path("source", place, key), message, Some(hint));
            }
            let mut streams = found.streams.iter();
            if origin.is_stdin() && streams.any(|stream| stream.origin.is_stdin()) {
                let message = "standard input is read by another source already";
                self.wrong(&path("source", place, "type"), message, None);
            }
            let name = source.name.clone().unwrap_or_else(|| origin.name());
            found.streams.push(Stream {
                name: unlike(&name, &found.streams),
                origin,
                status: Shared::default(),
            });
        }
        if sources.is_empty() {
            let origin = Origin::stdin();
            found.streams.push(Stream {
                name: origin.name(),
                origin,
                status: Shared::default(),
            });
        }
        found
    }

    fn files(&mut self, source: &Files, place: usize, files: &mut Option<Files>) {
        let files = files.get_or_insert_with(|| Files {
            from: source.from,
            poll: source.poll,
            ..Files::default()
        });
        if (files.from, files.poll) != (source.from, source.poll) {
            let message = "sources of files begin and are looked at alike";
            let hint = "give all of them the same \"from\" and \"poll\"";
            self.wrong(&path("source", place, "from"), message, Some(hint));
        }
        files.include.extend(source.include.iter().cloned());
        files.exclude.extend(source.exclude.iter().cloned());
    }
}

/// The name, with a number behind it if another stream has it.
fn unlike(name: &str, others: &[Stream]) -> String {
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    let numbered = (2..).map(|number| format!("{name} {number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names
        .find(|name| !is_taken(name))
        .expect("there are fewer streams than numbers")
}

/// A notifier of ours, with what the others have by default.
fn plain(name: &str, channel: notifiers::Channel) -> Settings {
    Settings {
        name: name.to_owned(),
        channel,
        timeout: Duration::from_secs(10),
        give_up: Duration::from_secs(3600),
        // Local ones need no limit.
        rate: Rate {
            count: 1000,
            per: Duration::from_secs(1),
        },
        title: None,
        text: None,
    }
}

/// `10/1m`, checked when the configuration was read.
fn rate(text: &str) -> Rate {
    let (count, per) = text.split_once('/').unwrap_or((text, "1m"));
    Rate {
        count: count.trim().parse().unwrap_or(1),
        per: units::duration(per.trim()),
    }
}

/// What `group_interval` is where alerts are told together and it is not given.
const GROUP_INTERVAL: i64 = 300 * Time::SECOND;

/// Whether each alert is told by itself.
fn is_alone(notifier: &Notifier) -> bool {
    notifier.group_by.is_empty() || notifier.group_by.iter().any(|name| name == "...")
}
