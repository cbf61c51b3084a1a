//! The simulation's own parts, tested without the program: a disk that forgets nothing it may keep, and
//! an oracle that lets a perfect reader pass and nothing else.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use logweir::disk::{Disk, read_full};

use super::clock::SimClock;
use super::disk::{Faults, Lies, Nature, SimDisk};
use super::oracle::Lane;
use super::platter::Serial;
use super::random::Random;
use super::world::{LOGS, Setting, Trace, World};

fn nature() -> Nature {
    Nature {
        has_births: true,
        has_holes: true,
        lies: Lies::default(),
    }
}

fn disk(seed: u64, nature: Nature) -> SimDisk {
    let disk = SimDisk::new(nature, SimClock::new(), Random::new(seed));
    disk.make_directory(Path::new("/d"));
    disk
}

fn text(disk: &SimDisk, path: &str) -> Option<String> {
    let serial = disk.serial(Path::new(path))?;
    Some(String::from_utf8_lossy(&disk.content(serial)).into_owned())
}

#[test]
fn numbers_are_used_again_when_the_last_descriptor_is_gone() {
    let disk = disk(1, nature());
    let inode = |path: &str| disk.stat(Path::new(path)).unwrap().identity.inode;
    let first = disk.writer(Path::new("/d/a"));
    let number = inode("/d/a");
    disk.remove(Path::new("/d/a")).unwrap();
    drop(disk.writer(Path::new("/d/b")));
    assert_ne!(inode("/d/b"), number);
    drop(first);
    drop(disk.writer(Path::new("/d/c")));
    assert_eq!(inode("/d/c"), number);
}

#[test]
fn what_was_synced_survives_a_power_cut_and_the_rest_in_part() {
    let (mut gone, mut torn, mut whole, mut zeros, mut nameless) = (0, 0, 0, 0, 0);
    for seed in 0..500 {
        let disk = disk(seed, nature());
        let process = disk.next_process();
        let file = process.append(Path::new("/d/a")).unwrap();
        file.append(b"synced ").unwrap();
        file.sync().unwrap();
        process.sync_directory(Path::new("/d")).unwrap();
        file.append(b"not synced").unwrap();
        process.append(Path::new("/d/b")).unwrap();
        disk.cut_power();
        assert!(file.append(b"x").is_err(), "the process is dead");
        let left = text(&disk, "/d/a").expect("its name is durable");
        let rest = left.strip_prefix("synced ").expect("it was synced");
        match rest.trim_end_matches('\0') {
            "" if rest.is_empty() => gone += 1,
            "not synced" => whole += 1,
            start if start.len() < rest.len() => zeros += 1,
            start => {
                assert!("not synced".starts_with(start));
                torn += 1;
            }
        }
        nameless += u32::from(text(&disk, "/d/b").is_none());
    }
    assert!(gone > 20 && torn > 20 && whole > 20 && zeros > 20 && nameless > 100);
}

#[test]
fn a_rename_is_the_old_or_the_new_unless_the_disk_lies() {
    for lies in [false, true] {
        let (mut old, mut new, mut none) = (0, 0, 0);
        for seed in 0..500 {
            let disk = disk(
                seed,
                Nature {
                    lies: Lies {
                        rename: lies,
                        ..Lies::default()
                    },
                    ..nature()
                },
            );
            let process = disk.next_process();
            for (path, content) in [("/d/a", "old"), ("/d/b", "new")] {
                let file = process.create(Path::new(path)).unwrap();
                file.append(content.as_bytes()).unwrap();
                file.sync().unwrap();
            }
            process.sync_directory(Path::new("/d")).unwrap();
            process
                .rename(Path::new("/d/b"), Path::new("/d/a"))
                .unwrap();
            disk.cut_power();
            match text(&disk, "/d/a").as_deref() {
                Some("old") => old += 1,
                Some("new") => new += 1,
                None => none += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(old > 50 && new > 50, "{old} {new}");
        assert_eq!(none > 0, lies);
    }
}

#[test]
fn a_failed_sync_makes_nothing_durable_and_says_yes_the_next_time() {
    let disk = disk(7, nature());
    let process = disk.next_process();
    let file = process.append(Path::new("/d/a")).unwrap();
    process.sync_directory(Path::new("/d")).unwrap();
    file.append(b"lost").unwrap();
    disk.set_faults(Faults {
        sync_error: 1000,
        ..Faults::default()
    });
    assert!(file.sync().is_err());
    disk.set_faults(Faults::default());
    file.sync().unwrap();
    disk.cut_power();
    assert_eq!(text(&disk, "/d/a").as_deref(), Some(""));
}

#[test]
fn a_process_dies_within_a_call_and_its_locks_with_it() {
    for seed in 0..50 {
        let disk = disk(seed, nature());
        let process = disk.next_process();
        let lock = process.lock(Path::new("/d/lock")).unwrap();
        assert!(process.lock(Path::new("/d/lock")).is_err());
        let file = process.append(Path::new("/d/a")).unwrap();
        disk.light_fuse(2);
        file.append(b"one").unwrap();
        assert!(file.append(b"two").is_err() && disk.is_dead());
        assert!(file.append(b"three").is_err() && process.stat(Path::new("/d/a")).is_err());
        let next = disk.next_process();
        let held = next.lock(Path::new("/d/lock")).unwrap();
        drop(lock);
        assert!(next.lock(Path::new("/d/lock")).is_err());
        drop(held);
        let left = text(&disk, "/d/a").unwrap();
        assert!("onetwo".starts_with(&left) && left.len() >= 3);
    }
}

#[test]
fn faults_come_as_often_as_asked_and_lose_nothing() {
    let disk = disk(3, nature());
    let process = disk.next_process();
    disk.set_faults(Faults {
        short_read: 300,
        interrupted: 300,
        ..Faults::default()
    });
    let content: Vec<u8> = (0..10_000u32).map(|place| place as u8).collect();
    disk.writer(Path::new("/d/a")).put(&content);
    let file = process.open(Path::new("/d/a")).unwrap();
    let mut buffer = vec![0; 20_000];
    let count = read_full(&*file, &mut buffer, 0).unwrap();
    assert_eq!(&buffer[..count], content);
    disk.set_room(Some(5));
    let out = process.append(Path::new("/d/out")).unwrap();
    disk.set_faults(Faults::default());
    assert_eq!(out.append(b"1234567").unwrap(), 5);
    assert!(out.append(b"67").is_err());
    disk.set_room(None);
    assert_eq!(out.append(b"67").unwrap(), 2);
}

/// Sees every byte at once, which no program can.
#[derive(Default)]
struct Reader {
    reached: HashMap<Serial, (Option<Lane>, usize)>,
    lines: Vec<Vec<u8>>,
}

impl Reader {
    fn look(&mut self, world: &World) {
        for (_, serial) in world.disk.files(Path::new(LOGS)) {
            let lane = world.lane_of(serial);
            let reached = self.reached.entry(serial).or_insert((lane, 0));
            if reached.0 != lane {
                *reached = (lane, 0);
            }
            let content = world.disk.content(serial);
            let new = &content[reached.1..];
            let end = memchr::memrchr(b'\n', new).map_or(0, |place| place + 1);
            reached.1 += end;
            let lines = new[..end].split_inclusive(|&byte| byte == b'\n');
            self.lines.extend(lines.map(<[u8]>::to_vec));
        }
    }
}

fn simple_world(seed: u64) -> (World, Vec<Vec<u8>>) {
    let mut random = Random::new(seed);
    let setting = Setting {
        halves: false,
        copies: false,
        compresses: false,
        backups: false,
        keeps_offset: false,
        preallocates: false,
        links: false,
        ..Setting::choose(&mut random)
    };
    let clock = SimClock::new();
    let disk = SimDisk::new(nature(), clock.clone(), random.split());
    let mut world = World::new(setting, disk, clock, random.split(), Trace::on());
    let mut reader = Reader::default();
    for _ in 0..30 {
        world.act();
        reader.look(&world);
        world.clock.pass(Duration::from_millis(100));
        if random.chance(1, 5) {
            world.note_idle();
        }
    }
    world.rest();
    reader.look(&world);
    world.note_idle();
    (world, reader.lines)
}

#[test]
fn the_oracle_lets_a_perfect_reader_pass_and_nothing_less() {
    let mut refused = [0; 5];
    for seed in 0..200 {
        for (wrong, refused) in refused.iter_mut().enumerate() {
            let (mut world, mut lines) = simple_world(seed);
            let mut random = Random::new(seed);
            let place = random.place(lines.len());
            match wrong {
                0 => {}
                1 => {
                    lines.remove(place);
                }
                2 => lines.push(lines[place].clone()),
                3 => {
                    let line = &mut lines[place];
                    let byte = random.place(line.len() - 1);
                    line[byte] ^= 1;
                }
                _ => {
                    let last = lines.len() - 1;
                    lines.swap(place, last);
                }
            }
            let problems = world.oracle.judge(&lines.concat());
            if wrong == 0 {
                let trace = world.trace.lines().join("\n");
                assert!(problems.is_empty(), "seed {seed}\n{trace}\n{problems:#?}");
            }
            *refused += u32::from(!problems.is_empty());
        }
    }
    // A line that was destroyed at once may be missing, and lines of two files have no order.
    assert_eq!((refused[2], refused[3]), (200, 200));
    assert!(refused[1] > 150 && refused[4] > 50, "{refused:?}");
}
