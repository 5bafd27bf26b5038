//! `scripts/try-image`: what the agent would find in an image, by its name.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Ran;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/try-image")
}

fn try_image() -> Command {
    let mut command = Command::new(script());
    if std::env::var_os("ATTUNE_CONTAINER_ARGS").is_none() {
        // Where limits may not be raised, as inside of another container, podman has to lower them.
        let lowered = "--runtime runc --ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
        command.env("ATTUNE_CONTAINER_ARGS", lowered);
    }
    command.env("ATTUNE_CONTAINER_ENGINE", "podman");
    command
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.is_ok_and(|found| found.status.success())
}

/// An image that is removed with this.
struct Image(String);

impl Image {
    /// One with what the built program needs to start, and BusyBox, whose shell is an interpreter. `None` where there is
    /// no podman.
    #[expect(clippy::print_stdout, reason = "what is not tested is part of what a test says")]
    fn tiny() -> Option<Self> {
        let missing = ["podman", "runc", "busybox"].into_iter().find(|program| !has(program));
        if missing.is_some() || !rustix::process::geteuid().is_root() {
            println!("try_image: not tested: it takes root, and {}", missing.unwrap_or("nothing else"));
            return None;
        }
        let root = tempfile::tempdir().expect("a temporary directory");
        let needed = Ran::of(Command::new("ldd").arg(env!("CARGO_BIN_EXE_attune-agent"))).stdout;
        let libraries = needed.split_ascii_whitespace().filter(|word| word.starts_with('/'));
        for file in libraries.chain(["/bin/busybox"]) {
            let copy = root.path().join(file.trim_start_matches('/'));
            std::fs::create_dir_all(copy.parent().expect("a directory")).expect("an own directory");
            std::fs::copy(file, &copy).expect("a library");
        }
        symlink("busybox", root.path().join("bin/sh")).expect("an own directory");
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).expect("an own directory");
        let name = format!("localhost/attune-try-image:{}", std::process::id());
        let import = "tar -C \"$1\" -c . | podman import --quiet - \"$2\"";
        let imported = Ran::of(Command::new("sh").args(["-c", import, "sh"]).arg(root.path()).arg(&name));
        assert_eq!(imported.code, 0, "{}", imported.stderr);
        Some(Self(name))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // One that stays costs a megabyte of disk.
        Command::new("podman").args(["rmi", "--force", &self.0]).output().ok();
    }
}

#[test]
fn an_image_is_looked_at_from_inside_as_any_user_and_nothing_is_left() {
    let Some(image) = Image::tiny() else { return };
    for user in ["0", "1000680000:0"] {
        let mut command = try_image();
        let ran =
            Ran::of(command.args(["--user", user, "--agent", env!("CARGO_BIN_EXE_attune-agent"), &image.0]));
        assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
        let number = user.split(':').next().expect("a number");
        for said in [
            "as the agent sees it",
            "shell 1.",
            &format!("user {number}"),
            "the root file system is read-only",
            "no temporary file can be made in /tmp",
            "processes can be started",
        ] {
            assert!(ran.stdout.contains(said), "{said} in {}", ran.stdout);
        }
    }
    let left = Ran::of(
        Command::new("podman")
            .args(["ps", "--all", "--quiet", "--filter"])
            .arg(format!("ancestor={}", image.0)),
    );
    assert_eq!(left.stdout, "");
}

#[test]
fn what_it_cannot_do_it_says_in_a_sentence() {
    let run = |arguments: &[&str]| Ran::of(try_image().args(arguments));
    run(&[]).assert_refused(2, "no image is named", "--help");
    run(&["one", "another"]).assert_refused(2, "one image at a time", "--help");
    run(&["--what"]).assert_refused(2, "there is no option --what", "--help");
    run(&["--agent"]).assert_refused(2, "--agent needs a value", "--help");
    assert!(run(&["--help"]).stdout.contains("Usage: scripts/try-image"));
    let absent = Ran::of(try_image().env("ATTUNE_CONTAINER_ENGINE", "no-such-engine").arg("image"));
    absent.assert_refused(69, "no-such-engine is not on the PATH", "install it");
    // With the commands that it uses itself, and neither of the engines.
    let bare = tempfile::tempdir().unwrap();
    symlink("/bin/sh", bare.path().join("sh")).unwrap();
    let neither =
        Ran::of(try_image().env("PATH", bare.path()).env("ATTUNE_CONTAINER_ENGINE", "").arg("image"));
    neither.assert_refused(69, "neither podman nor docker is on the PATH", "install");
    // An engine that answers as real ones do, of an image for another machine: an image cannot be built for one here.
    let engine = bare.path().join("docker");
    std::fs::write(&engine, "#!/bin/sh\necho linux s390x\n").unwrap();
    std::fs::set_permissions(&engine, PermissionsExt::from_mode(0o755)).unwrap();
    let foreign = Ran::of(try_image().env("ATTUNE_CONTAINER_ENGINE", &engine).arg("image"));
    foreign.assert_refused(69, "image is for s390x, and this machine is", "emulator");
    if has("podman") {
        run(&["localhost/no-such-image"]).assert_refused(
            69,
            "there is no image localhost/no-such-image",
            "pull",
        );
    }
}

#[test]
fn it_is_portable_shell() {
    if !has("shellcheck") {
        return println!("try_image: shellcheck is not here; not tested");
    }
    let checked = Ran::of(Command::new("shellcheck").arg("--shell=sh").arg(script()));
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{}", checked.stderr);
}
