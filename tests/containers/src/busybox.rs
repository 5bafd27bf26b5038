//! Busybox, as a program for containers that have none, and as an image.

use std::path::Path;
use std::process::Command;

use crate::{Engine, Ran, Root};

/// One static program that is a shell and much more.
///
/// # Panics
/// Where it is not installed.
pub fn root(engine: &Engine) -> Root {
    let root = Root::scratch(engine, "busybox").copy(program(), "/bin/busybox");
    let list = Ran::of(Command::new("busybox").arg("--list")).expect_success();
    let applets = list.stdout.lines().filter(|applet| *applet != "busybox");
    applets.fold(root, |root, applet| root.link("busybox", &format!("/bin/{applet}")))
}

/// A program that is a shell and much more, and needs no library.
///
/// # Panics
/// Where there is none.
pub fn program() -> &'static str {
    let busybox = "/bin/busybox";
    // It refuses what has no libraries.
    let is_static = Path::new(busybox).is_file() && Ran::of(Command::new("ldd").arg(busybox)).code != 0;
    assert!(
        is_static,
        "{busybox} is not there, or not static; on Debian, this installs it: \
         sudo apt-get install -y --no-install-recommends busybox-static"
    );
    busybox
}
