//! `attune-agent install`: what an init container runs.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, agent, behind, mounted};

fn install(directory: &Path) -> Command {
    let mut command = agent();
    command.arg("install").arg(directory);
    command
}

#[test]
fn the_copy_is_this_program_for_every_user_and_a_second_time_there_is_nothing_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("not/there/yet");
    let installed = Ran::of(&mut install(&below));
    assert_eq!(installed.code, 0, "{}", installed.stderr);
    let copy = below.join("attune-agent");
    let found = std::fs::metadata(&copy).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o555);
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(env!("CARGO_BIN_EXE_attune-agent")).unwrap());
    let version = Ran::of(Command::new(&copy).arg("--version"));
    assert_eq!(version.stdout, Ran::of(agent().arg("--version")).stdout);

    let again = Ran::of(&mut install(&below));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.contains("already"), "{}", again.stdout);
    assert_eq!(std::fs::metadata(&copy).unwrap().ino(), found.ino(), "it was not copied again");
    let left: Vec<_> = std::fs::read_dir(&below).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["attune-agent"]);
}

#[test]
fn another_program_there_is_replaced_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("attune-agent");
    // By a process of its own: a descriptor that is open for writing here may be in a child of another test.
    assert!(Command::new("cp").arg("/bin/sleep").arg(&copy).status().unwrap().success());
    let mut running = Command::new(&copy).arg("1000").spawn().unwrap();
    let installed = Ran::of(&mut install(directory.path()));
    assert_eq!(installed.code, 0, "{}", installed.stderr);
    assert!(installed.stdout.contains(" now: "), "{}", installed.stdout);
    assert!(Ran::of(Command::new(&copy).arg("--version")).stdout.starts_with("attune-agent "));
    assert!(running.try_wait().unwrap().is_none(), "who runs the earlier one keeps it");
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn where_it_cannot_it_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    Ran::of(&mut install(&file)).assert_refused(71, "cannot install into", "name a directory");
    let place = directory.path().join("volume");
    std::fs::create_dir(&place).unwrap();
    let command = install(&place);
    let mount = |options: &str| format!("mount -t tmpfs -o {options} tmpfs {}", place.display());
    for (mount, sentence, hint) in [
        (mount("noexec"), "it is mounted noexec", "emptyDir"),
        (mount("ro"), "Read-only file system", "read-write"),
        (mount("size=64k"), "No space left", "sizeLimit"),
    ] {
        let Some(refused) = mounted(&mount, &command) else { return };
        refused.assert_refused(71, sentence, hint);
    }
    // As an ordinary user, in a directory that is root's.
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let refused =
        Ran::of(&mut behind(&["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"], &command));
    refused.assert_refused(71, "Permission denied", "this is user 65532, and the directory is user 0's");
    std::fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
    let done = Ran::of(&mut behind(&["setpriv", "--reuid=65532", "--regid=0", "--clear-groups"], &command));
    assert_eq!(done.code, 0, "{}", done.stderr);
}
