//! Tells the service manager how the run stands, if it asked for that: the protocol of
//! `sd_notify(3)`, one datagram a message. Without `NOTIFY_SOCKET` nothing of this happens.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A manager that does not take a message within this time does not get it: the data goes first.
const WAIT: Duration = Duration::from_secs(1);

/// The service manager's socket.
#[derive(Debug)]
pub struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    /// It wants to hear from us within each of these.
    watchdog: Option<Duration>,
}

impl Systemd {
    /// The manager that started this process and wants to be told; `None` if there is none.
    pub fn from_environment() -> io::Result<Option<Systemd>> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Ok(None);
        };
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        // The limits may be meant for a process that started this one.
        let for_us = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|&microseconds| for_us && microseconds > 0)
            .map(Duration::from_micros);
        Systemd::new(&address, watchdog).map(Some)
    }

    /// `address` is a path, or `@` and a name in Linux' abstract name space.
    fn new(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Systemd> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => {
                let message = "NOTIFY_SOCKET is neither a path nor an abstract name";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(WAIT))?;
        Ok(Systemd {
            socket,
            address,
            watchdog,
        })
    }

    /// How long nothing may be heard from us before the service is taken for dead.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The start, or what [`Systemd::reloading`] announced, is done.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + i64::from(now.tv_nsec as i32) / 1000;
        // Both in one message, as `systemd.service(5)` asks under Type=notify-reload.
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// For the watchdog.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The run goes on without a manager that does not listen.
    fn send(&self, message: &str) {
        let _ = self.socket.send_to_addr(message.as_bytes(), &self.address);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A manager and the way to it.
    pub fn manager(watchdog: Option<Duration>) -> (UnixDatagram, Systemd) {
        let id = format!("logweir-test-{:?}", std::time::Instant::now());
        let name = format!("@{}", id.replace(' ', ""));
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        (manager, Systemd::new(name.as_ref(), watchdog).unwrap())
    }

    pub fn message(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn says_what_the_protocol_says() {
        let (manager, systemd) = manager(None);
        systemd.ready();
        systemd.stopping();
        systemd.alive();
        for want in ["READY=1", "STOPPING=1", "WATCHDOG=1"] {
            assert_eq!(message(&manager), want);
        }
        // The kernel's own word on how long the machine is up, which has the same origin.
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split(' ').next().unwrap().parse::<f64>().unwrap()
        };
        let before = uptime();
        systemd.reloading();
        let text = message(&manager);
        let number = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let seconds = number.parse::<u64>().unwrap() as f64 / 1e6;
        let boot = clock_gettime(ClockId::Boottime).tv_sec as f64;
        let suspended = boot - clock_gettime(ClockId::Monotonic).tv_sec as f64;
        assert!(
            (seconds + suspended - before).abs() < 5.0,
            "{seconds} {before}"
        );
    }

    #[test]
    fn a_path_will_do_and_a_manager_that_is_gone_or_stuck_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let systemd = Systemd::new(path.as_os_str(), None).unwrap();
        systemd.ready();
        assert_eq!(message(&manager), "READY=1");
        drop(manager);
        systemd.ready();
        // One that came back is heard again.
        std::fs::remove_file(&path).unwrap();
        let manager = UnixDatagram::bind(&path).unwrap();
        systemd.ready();
        assert_eq!(message(&manager), "READY=1");
        assert!(Systemd::new("vsock:2:1234".as_ref(), None).is_err());
        assert!(Systemd::new(OsStr::new(&format!("/{}", "x".repeat(200))), None).is_err());
    }
}
