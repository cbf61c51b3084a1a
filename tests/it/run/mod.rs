//! `weir run` as people run it: files that grow, a configuration, receivers, signals and kills.
//!
//! The long versions of these tests are commands of their own, with their figures on standard error:
//!
//! ```sh
//! cargo test --release --test it run:: -- --ignored --nocapture --test-threads 1
//! ```

mod alerts;
mod receivers;
mod reload;
mod secrets;
mod sinks;
mod sources;
mod streams;
mod surroundings;
mod systemd;
mod windows;
mod wrapped;

use std::fs;

use crate::follow::scene::{Following, Scene};

/// A folder with `weir.toml`.
pub fn configured(text: &str) -> Scene {
    let scene = Scene::new();
    fs::write(scene.path("weir.toml"), text).unwrap();
    scene
}

/// `weir run -c weir.toml` with a state directory.
pub fn start(scene: &Scene) -> Following {
    scene.start(&[], &["run", "-c", "weir.toml", "--state", "state"])
}

/// A time of the day of the records, so many milliseconds after its beginning.
pub fn at(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!(
        "2026-03-14T{:02}:{:02}:{:02}.{rest:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The value at a share of sorted values: the smallest that as many are not above.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
