//! What the service manager hears of a reload, under `Type=notify-reload`: each SIGHUP is answered, with
//! a good configuration and with a bad one, and none is taken for the end of the service.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use super::configured;
use crate::follow::scene::{PATIENCE, Scene, signal};

const BASE: &str = "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n\
                    [[sink]]\ntype = \"file\"\npath = \"out\"\n";

fn replace(scene: &Scene, text: &str) {
    fs::write(scene.path("new.toml"), text).unwrap();
    scene.rename("new.toml", "weir.toml");
}

#[test]
fn every_reload_is_answered_and_none_ends_the_service() {
    let scene = configured(BASE);
    scene.append("app.log", b"one\n");
    let socket = UnixDatagram::bind(scene.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = scene.command(&[], &["run", "-q", "-c", "weir.toml"]);
    let mut child = command
        .env("NOTIFY_SOCKET", scene.path("notify"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The first words of each message; there is no watchdog that would speak in between.
    let receive = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(receive(), "READY=1");
    for text in [
        format!("{BASE}[[rule]]\nname = \"many\"\nwhen = \"count() > 10\"\n"),
        "no toml at all [".to_owned(),
        format!("{BASE}[[rule]]\nname = \"bad\"\nwhen = \"nothing() > 10\"\n"),
        BASE.to_owned(),
    ] {
        replace(&scene, &text);
        signal(child.id(), "HUP");
        assert_eq!([receive(), receive()], ["RELOADING=1", "READY=1"], "{text}");
    }
    scene.append("app.log", b"two\n");
    scene.until_length("out", 8);
    signal(child.id(), "TERM");
    assert_eq!(receive(), "STOPPING=1");
    assert!(child.wait().unwrap().success());
    assert_eq!(scene.read("out"), b"one\ntwo\n");
}
