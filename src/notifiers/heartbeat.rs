//! Pings that say that the run is alive and healthy. Another service (healthchecks.io, Uptime Kuma, Cronitor)
//! notices when they stay away: it must not depend on the run that it watches. One thread with a runtime of its
//! own, which is there only if there is a heartbeat. A ping is not kept or repeated: the next one replaces it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::flow::secret::Secret;
use crate::net::http::{self, Attempt, Post};

/// How old the last sign of health may be. The run gives one each second.
const HEALTHY: Duration = Duration::from_secs(15);

/// How long one ping may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One address, and how often it is pinged.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub url: Secret,
    pub every: Duration,
}

/// When the run was healthy last. The run sets it; the pings look at it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// The run is healthy now.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_healthy(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() <= HEALTHY)
    }
}

/// The pings of a run. They end when it is dropped.
pub struct Heartbeats {
    _end: oneshot::Sender<()>,
}

impl Heartbeats {
    /// Starts the pings. `say` gets our own lines, without secrets.
    pub fn start(list: Vec<Settings>, pulse: Pulse, say: fn(&str)) -> io::Result<Heartbeats> {
        let client = http::client()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (end_in, end) = oneshot::channel();
        let thread = std::thread::Builder::new().name("heartbeat".to_owned());
        thread.spawn(move || {
            runtime.block_on(async {
                let mut pings = tokio::task::JoinSet::new();
                for settings in list {
                    pings.spawn(ping(settings, client.clone(), pulse.clone(), say));
                }
                // The sender is dropped with the run.
                let _ = end.await;
            });
        })?;
        Ok(Heartbeats { _end: end_in })
    }
}

async fn ping(settings: Settings, client: reqwest::Client, pulse: Pulse, say: fn(&str)) {
    let mut ticks = tokio::time::interval(settings.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        if !pulse.is_healthy() {
            continue;
        }
        let post = Post {
            url: &settings.url,
            content_type: "text/plain",
            bearer: None,
            login: None,
            hidden: None,
            headers: Vec::new(),
            body: Vec::new(),
        };
        let reason = match tokio::time::timeout(TIMEOUT, http::post(&client, post)).await {
            Ok(Attempt::Delivered { .. }) => None,
            Ok(
                Attempt::Later { reason, .. }
                | Attempt::Refused { reason }
                | Attempt::Divide { reason },
            ) => Some(reason),
            Err(_) => Some(format!("no answer within {TIMEOUT:?}")),
        };
        match &reason {
            Some(reason) if !is_failing => say(&format!(
                "heartbeat: {reason}; the next one is sent all the same"
            )),
            None if is_failing => say("heartbeat: it arrives again"),
            _ => {}
        }
        is_failing = reason.is_some();
    }
}
