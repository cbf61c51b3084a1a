//! One schedule: a seed becomes a world, a program in it, what happens to both, and a verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use logweir::clock::Clock;
use logweir::disk::Disk;
use logweir::plan::Plan;
use logweir::sinks::file::Rotation;

use super::clock::SimClock;
use super::disk::{Faults, Lies, Nature, SimDisk};
use super::oracle::shown;
use super::program::{Command, Ended, Mode, OUT, OUTPUT, Program, STATE, Stepped};
use super::random::Random;
use super::world::{Setting, Trace, World, say};

/// No batch for so long, and everything has been looked at: names are listed every 10 s.
const QUIET: Duration = Duration::from_secs(15);

/// A machine takes so long to start.
const BOOT: Duration = Duration::from_secs(1);

/// Steps until the program must have come to rest. A schedule has some thousand bytes.
const STEPS_MAX: usize = 20_000;

/// Starts that may fail one after the other while the disk has no faults.
const STARTS_MAX: usize = 3;

/// What is wrong with a schedule.
pub struct Failure {
    pub seed: u64,
    pub problems: Vec<String>,
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        for problem in self.problems.iter().take(20) {
            writeln!(f, "! {problem}")?;
        }
        write!(
            f,
            "{} problems; again with WEIR_SIM_SEED={} cargo test --test it sim:: -- --nocapture",
            self.problems.len(),
            self.seed
        )
    }
}

/// How much happened in some schedules, to see that they are worth something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub schedules: u64,
    pub starts: u64,
    pub kills: u64,
    pub power_cuts: u64,
    pub failures: u64,
    pub fragments: u64,
    pub musts: u64,
    pub steps: u64,
}

impl Stats {
    pub fn add(&mut self, other: &Stats) {
        self.schedules += other.schedules;
        self.starts += other.starts;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.failures += other.failures;
        self.fragments += other.fragments;
        self.musts += other.musts;
        self.steps += other.steps;
    }
}

/// Runs one schedule; after a failure once more for its trace.
pub fn run(seed: u64, lies: Lies) -> Result<Stats, Box<Failure>> {
    let run_with = |trace: &Trace| {
        let result = catch_unwind(AssertUnwindSafe(|| run_traced(seed, lies, trace.clone())));
        result.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(vec![format!("panicked: {}", text.unwrap_or_default())])
        })
    };
    run_with(&Trace::default()).map_err(|problems| {
        let trace = Trace::on();
        let again = run_with(&trace);
        let mut lines = trace.lines();
        if again.err().as_ref() != Some(&problems) {
            lines.push("the second run of this seed went otherwise".to_owned());
        }
        Box::new(Failure {
            seed,
            problems,
            trace: lines,
        })
    })
}

fn run_traced(seed: u64, lies: Lies, trace: Trace) -> Result<Stats, Vec<String>> {
    let mut random = Random::new(seed);
    let setting = Setting::choose(&mut random);
    let nature = Nature {
        has_births: random.chance(3, 4),
        has_holes: random.chance(3, 4),
        lies,
    };
    let clock = SimClock::new();
    let disk = SimDisk::new(nature, clock.clone(), random.split());
    let world = World::new(setting, disk, clock, random.split(), trace);
    world.disk.make_directory(Path::new(OUT));
    let rotation = if random.chance(1, 6) {
        Rotation {
            bytes_max: Some(random.between(500, 5000)),
            age_max: None,
            keep: 1000,
        }
    } else {
        Rotation::default()
    };
    let command = Command {
        mode: *random.pick(&[Mode::Text, Mode::Text, Mode::Whole, Mode::Json]),
        multiline: random.chance(1, 2),
        pattern: world.pattern(),
        chunk_bytes: *random.pick(&[64, 100, 256, 512, 4096]),
        files_open_max: *random.pick(&[2, 3, 64]),
        rotation,
    };
    let faults = if random.chance(1, 2) {
        Faults::default()
    } else {
        Faults {
            short_read: *random.pick(&[0, 100, 500]),
            interrupted: *random.pick(&[0, 50]),
            read_error: *random.pick(&[0, 0, 20]),
            append_error: *random.pick(&[0, 0, 10]),
            short_append: *random.pick(&[0, 200]),
            sync_error: *random.pick(&[0, 0, 30]),
        }
    };
    let plan = command.plan();
    let mut schedule = Schedule {
        powers: random.chance(1, 2),
        kills: random.chance(3, 4),
        moves_output: random.chance(1, 8),
        faults,
        command,
        plan: &plan,
        world,
        random,
        program: None,
        stats: Stats::default(),
        may_repeat: false,
        problems: Vec::new(),
        process: None,
    };
    say!(
        schedule.world,
        "seed {seed}: {:?} {nature:?} {:?} {:?}",
        schedule.command,
        schedule.world.setting,
        schedule.faults
    );
    schedule.run();
    if schedule.problems.is_empty() {
        let (fragments, musts) = schedule.world.oracle.sizes();
        schedule.stats.schedules = 1;
        schedule.stats.fragments = fragments as u64;
        schedule.stats.musts = musts as u64;
        Ok(schedule.stats)
    } else {
        Err(schedule.problems)
    }
}

struct Schedule<'p> {
    world: World,
    random: Random,
    command: Command,
    plan: &'p Plan,
    faults: Faults,
    /// What may happen to the program.
    kills: bool,
    powers: bool,
    /// Somebody rotates our output.
    moves_output: bool,
    program: Option<Program<'p>>,
    process: Option<SimDisk>,
    stats: Stats,
    /// The program has said that lines may stand twice, and may: its output was changed by
    /// others, or a power cut took the journal.
    may_repeat: bool,
    problems: Vec<String>,
}

impl Schedule<'_> {
    fn run(&mut self) {
        for _ in 0..self.random.below(8) {
            self.world.act();
        }
        let turns = self.random.between(5, 40);
        for _ in 0..turns {
            self.turn();
            if !self.problems.is_empty() {
                return;
            }
        }
        self.end();
    }

    fn turn(&mut self) {
        match self.random.below(32) {
            0..8 => {
                for _ in 0..self.random.between(1, 4) {
                    self.world.act();
                }
            }
            8..18 => {
                let steps = self.random.between(1, 25);
                self.steps(steps);
            }
            18..23 => self.pass(),
            23 | 24 => {
                self.settle();
            }
            25 | 26 if self.kills => self.kill(),
            27 if self.powers => self.cut_power(),
            28 => self.stop(),
            29 if self.kills => {
                let calls = self.random.between(1, 12);
                self.world.disk.light_fuse(calls);
                say!(
                    self.world,
                    "dies in its {calls}th call that changes the disk"
                );
                self.steps(30);
            }
            30 if self.moves_output => self.move_output(),
            31 => {
                let room = if self.random.chance(1, 3) {
                    Some(self.random.below(600))
                } else {
                    None
                };
                self.world.disk.set_room(room);
                say!(self.world, "room on the disk: {room:?}");
            }
            _ => self.start(),
        }
    }

    fn pass(&mut self) {
        let most = *self.random.pick(&[20, 300, 1500, 6000]);
        let time = Duration::from_millis(self.random.between(1, most));
        self.world.clock.pass(time);
        if self.world.setting.jumps && self.random.chance(1, 4) {
            let jump = *self.random.pick(&[-3600i64, -1, 1, 86400, 315_360_000]);
            self.world.jump(jump);
            say!(self.world, "the wall clock jumps by {jump} s");
        }
    }

    fn start(&mut self) {
        if self.program.is_some() {
            return;
        }
        let process = self.world.disk.next_process();
        self.world.disk.set_faults(self.faults);
        self.process = Some(process.clone());
        self.stats.starts += 1;
        match Program::start(
            &self.command,
            self.plan,
            process,
            self.world.clock.clone(),
            self.world.trace.clone(),
        ) {
            Ok(program) => {
                say!(self.world, "the program starts");
                self.program = Some(program);
                self.listen();
                self.bury();
            }
            Err(error) => {
                say!(self.world, "the program does not start: {error}");
                self.world.disk.repair_under(Path::new(OUT));
                self.stats.failures += 1;
                self.gone();
            }
        }
    }

    /// What the program says.
    fn listen(&mut self) {
        let Some(program) = &mut self.program else {
            return;
        };
        for note in program.notes.drain(..) {
            if note.contains("not durable") {
                self.world.disk.repair_under(Path::new(OUT));
            }
            if let Some((path, from)) = read_again(&note)
                && let Some(file) = self.world.disk.serial(&path)
            {
                let content = self.world.disk.content(file);
                let behind = content.get(from..).unwrap_or_default();
                self.world.oracle.copied(behind);
            }
            if note.contains("may stand twice") || note.contains("by somebody else") {
                self.may_repeat = true;
                let has_forgotten = self.world.disk.has_forgotten();
                if !self.powers && !self.moves_output && !has_forgotten {
                    self.problems
                        .push(format!("gave up on the output without a reason: {note}"));
                }
            }
            say!(self.world, "    weir: {note}");
        }
    }

    /// Some steps of the program, which is started if it is not there.
    fn steps(&mut self, count: u64) {
        if self.program.is_none() {
            if self.random.chance(1, 3) {
                self.start();
            }
            return;
        }
        for _ in 0..count {
            if self.step() != Stepped::Something {
                break;
            }
        }
    }

    fn step(&mut self) -> Stepped {
        let Some(program) = &mut self.program else {
            return Stepped::Nothing;
        };
        self.stats.steps += 1;
        self.world.disk.count_calls_anew();
        let stepped = program.step(&mut self.random);
        self.listen();
        if self.bury() {
            return Stepped::Failed;
        }
        if stepped == Stepped::Failed {
            say!(self.world, "the program ends with an error");
            self.stats.failures += 1;
            self.gone();
        }
        stepped
    }

    /// Whether the process died within a call.
    fn bury(&mut self) -> bool {
        if !self.world.disk.is_dead() {
            return false;
        }
        say!(self.world, "the program dies within a call");
        self.stats.kills += 1;
        if self.powers && self.random.chance(1, 3) {
            self.cut_power();
        } else {
            self.gone();
        }
        true
    }

    /// The process is no more. Its destructors find every handle dead.
    fn gone(&mut self) {
        self.world.disk.next_process();
        self.world.disk.set_faults(Faults::default());
        self.process = None;
        self.program = None;
    }

    fn kill(&mut self) {
        if self.program.is_some() {
            say!(self.world, "SIGKILL");
            self.stats.kills += 1;
            self.gone();
        }
    }

    fn cut_power(&mut self) {
        say!(self.world, "power cut");
        self.gone();
        self.stats.power_cuts += 1;
        self.world.cut_power();
        // No file that is made now has the birth time of one that the power cut took.
        self.world.clock.pass(BOOT);
    }

    /// Our output is rotated by somebody else, whose renames come through a power cut in their order:
    /// the second alone would put one of our files in another one's place, and no program could help it.
    fn move_output(&mut self) {
        let path = Path::new(OUTPUT);
        if self.world.disk.serial(path).is_none() {
            return;
        }
        let numbered = |number: u32| Path::new(OUT).join(format!("lines.log.{number}"));
        let free = (1..)
            .find(|number| self.world.disk.serial(&numbered(*number)).is_none())
            .expect("numbers do not end");
        for number in (1..free).rev() {
            let (from, to) = (numbered(number), numbered(number + 1));
            self.world.disk.rename(&from, &to).unwrap();
            self.world.disk.sync_directory(Path::new(OUT)).unwrap();
        }
        self.world.disk.rename(path, &numbered(1)).unwrap();
        let told = self.random.chance(1, 2);
        if told && let Some(program) = &mut self.program {
            program.reopen();
        }
        say!(self.world, "the output is rotated (SIGHUP: {told})");
    }

    /// Time passes until the program has nothing to do. False if it is not there any more.
    fn settle(&mut self) -> bool {
        let mut quiet_since = self.world.clock.monotonic();
        for _ in 0..STEPS_MAX {
            match self.step() {
                Stepped::Something => continue,
                Stepped::Failed => return false,
                Stepped::Nothing => {}
            }
            let Some(program) = &self.program else {
                return false;
            };
            let now = self.world.clock.monotonic();
            quiet_since = quiet_since.max(program.busy);
            if program.is_empty() && now >= quiet_since + QUIET {
                self.world.note_idle();
                say!(self.world, "the program is idle");
                return true;
            }
            let wait = program.until().saturating_sub(now);
            let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(1));
            self.world.clock.pass(wait);
        }
        if self.world.disk.is_full() {
            return false;
        }
        self.problems
            .push(format!("not idle after {STEPS_MAX} steps"));
        false
    }

    /// SIGTERM.
    fn stop(&mut self) {
        let Some(program) = &mut self.program else {
            return;
        };
        program.finish();
        for _ in 0..STEPS_MAX {
            match self.step() {
                Stepped::Something => {}
                Stepped::Failed => return,
                Stepped::Nothing => self.world.clock.pass(Duration::from_millis(10)),
            }
            let is_done = self.program.as_ref().is_some_and(Program::has_finished);
            if is_done {
                return self.close();
            }
        }
        if self.world.disk.is_full() {
            say!(self.world, "does not end for want of room");
            return self.kill();
        }
        self.problems
            .push(format!("does not end within {STEPS_MAX} steps"));
    }

    fn close(&mut self) {
        let program = self.program.take().expect("it was just there");
        let result = program.close();
        let died = self.world.disk.is_dead();
        self.gone();
        match result {
            Ok(ended) => {
                say!(
                    self.world,
                    "the program ends: {:?}, {} bytes lost",
                    ended.ledger,
                    ended.lost_bytes
                );
                if ended.ledger.unaccounted > 0 {
                    self.problems
                        .push(format!("unaccounted: {:?}", ended.ledger));
                }
                self.totals(&ended);
            }
            Err(error) => {
                if error.contains("not durable") {
                    self.world.disk.repair_under(Path::new(OUT));
                }
                say!(
                    self.world,
                    "the program ends with an error: {error} ({died})"
                );
                self.stats.failures += 1;
            }
        }
    }

    /// The totals count what is in the output, or name what they lack.
    fn totals(&mut self, ended: &Ended) {
        if self.may_repeat || self.command.mode == Mode::Json {
            return;
        }
        let ledger = &ended.ledger;
        let output = self.output();
        let lines = memchr::memchr_iter(b'\n', &output).count() as u64;
        let counted = ledger.lines - ledger.duplicate;
        let is_right = match ended.lost_bytes {
            // A duplicate is a record; how many lines it has is not told.
            0 if ledger.duplicate > 0 => counted >= lines,
            0 => counted == lines,
            _ => counted <= lines || ledger.duplicate > 0,
        };
        let repeats = ledger.duplicate > 0 && !self.world.oracle.has_copies();
        if !is_right || repeats || ledger.filtered > 0 {
            self.problems.push(format!(
                "{lines} lines came out, {ledger:?}, {} bytes lost",
                ended.lost_bytes
            ));
        }
    }

    /// Everything that came out, in the order in which the files were made.
    fn output(&self) -> Vec<u8> {
        let mut files = self.world.disk.files(Path::new(OUT));
        files.sort_by_key(|(_, serial)| *serial);
        let mut output = Vec::new();
        for (_, serial) in files {
            output.extend_from_slice(&self.world.disk.content(serial));
        }
        output
    }

    /// The world comes to rest, the program reads what is left, and the oracle judges.
    fn end(&mut self) {
        self.faults = Faults::default();
        self.world.disk.set_faults(Faults::default());
        self.world.disk.set_room(None);
        self.world.disk.put_fuse_out();
        self.world.rest();
        say!(self.world, "the world rests");
        for _ in 0..STARTS_MAX {
            if self.program.is_none() {
                self.start();
            }
            if self.settle() {
                break;
            }
            if !self.problems.is_empty() {
                return;
            }
        }
        if self.program.is_none() {
            self.problems
                .push("does not start although nothing is wrong".to_owned());
            return;
        }
        self.stop();
        if self.random.chance(1, 4) && self.problems.is_empty() {
            // Nothing comes twice.
            self.start();
            self.settle();
            self.stop();
        }
        self.judge();
    }

    fn judge(&mut self) {
        let mut output = self.output();
        if self.command.mode == Mode::Json {
            output = match raw_lines(&output) {
                Ok(lines) => lines,
                Err(problem) => {
                    self.problems.push(problem);
                    return;
                }
            };
        }
        self.world.oracle.may_repeat = self.may_repeat;
        self.world.oracle.cuts_returns = self.command.mode == Mode::Json;
        self.problems.extend(self.world.oracle.judge(&output));
        if self.world.trace.is_on() && !self.problems.is_empty() {
            for line in output.split(|&byte| byte == b'\n') {
                self.world.trace.add(format!("out: {}", shown(line)));
            }
            for directory in ["/logs", "/data", OUT, STATE] {
                for (path, serial) in self.world.disk.files(Path::new(directory)) {
                    self.world.trace.add(format!(
                        "left: {} (file {}, {} bytes)",
                        path.display(),
                        serial.0,
                        self.world.disk.length(serial)
                    ));
                }
            }
        }
    }
}

/// The records of JSON lines, as they were.
fn raw_lines(output: &[u8]) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    for line in output.split(|&byte| byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let value: serde_json::Value = serde_json::from_slice(line)
            .map_err(|error| format!("no JSON ({error}): {}", shown(line)))?;
        let raw = value["raw"].as_str();
        let raw = raw.ok_or_else(|| format!("no raw: {}", shown(line)))?;
        lines.extend_from_slice(raw.as_bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The file and the byte of a note that says from where on a file is read again.
fn read_again(note: &str) -> Option<(PathBuf, usize)> {
    let (path, rest) = note.split_once(": does not hold all that was read of it")?;
    let (_, from) = rest.split_once("read again from byte ")?;
    let path = path.strip_prefix("weir: ").unwrap_or(path);
    Some((path.into(), from.split(' ').next()?.parse().ok()?))
}
