//! File systems that are not as usual: one behind which a server answers, and a `/proc` that is not there.
//!
//! Both are real here, and only root can make them: others see why the test was skipped.

#![cfg(feature = "cli")]

mod support;

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use runtime_probe::{Ask, Options, probe};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;
use support::{Elf, Root, at};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A Python that needs nothing of this machine.
fn python(hex: u32) -> Elf {
    Elf { interpreter: None, ..Elf::python(hex) }
}

/// One directory with one program, served through `/dev/fuse`; notes what it was asked.
struct Served {
    file: Vec<u8>,
    asked: Arc<Mutex<Vec<u32>>>,
}

mod opcode {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
    pub(super) const READDIRPLUS: u32 = 44;
}

const DIRECTORY: u64 = 1;
const PROGRAM: u64 = 2;
const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Served {
    /// Answers until the file system is unmounted.
    fn serve(&self, device: &OwnedFd) {
        let mut request = vec![0; 1 << 17];
        loop {
            let Ok(length) = rustix::io::read(device, &mut request) else { return };
            let (opcode, node) = (number(&request, 4), u64::from(number(&request, 16)));
            self.asked.lock().expect("nobody panicked").push(opcode);
            if [opcode::FORGET, opcode::BATCH_FORGET, opcode::INTERRUPT].contains(&opcode) {
                continue;
            }
            let answer = self.answer(opcode, node, &request[40..length]);
            let (error, body) = answer.map_or_else(|error| (-error, Vec::new()), |body| (0, body));
            let mut reply = u32::try_from(16 + body.len()).expect("short").to_le_bytes().to_vec();
            reply.extend(error.to_le_bytes());
            reply.extend(&request[8..16]);
            reply.extend(body);
            if rustix::io::write(device, &reply).is_err() {
                return;
            }
        }
    }

    fn answer(&self, opcode: u32, node: u64, body: &[u8]) -> Result<Vec<u8>, i32> {
        match opcode {
            opcode::INIT => {
                // The protocol's version, then what the server can take.
                let words: [u32; 16] = [7, 31, 0, 0, 0, 1 << 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
            }
            opcode::GETATTR => Ok([vec![0; 16], self.attributes(node)].concat()),
            opcode::LOOKUP => {
                let name = CStr::from_bytes_until_nul(body).map_err(|_| ENOENT)?;
                let is_program = [c"python3", c"python3.99"].contains(&name);
                let node = if is_program { PROGRAM.to_le_bytes() } else { return Err(ENOENT) };
                Ok([node.to_vec(), vec![0; 32], self.attributes(PROGRAM)].concat())
            }
            opcode::OPEN | opcode::OPENDIR => Ok(vec![0; 16]),
            opcode::READ => {
                let (offset, size) = (number(body, 8) as usize, number(body, 16) as usize);
                let rest = self.file.get(offset..).unwrap_or_default();
                Ok(rest[..rest.len().min(size)].to_vec())
            }
            opcode::STATFS => Ok(vec![0; 80]),
            opcode::FLUSH | opcode::RELEASE | opcode::RELEASEDIR => Ok(Vec::new()),
            _ => Err(ENOSYS),
        }
    }

    fn attributes(&self, node: u64) -> Vec<u8> {
        let (mode, size) = if node == DIRECTORY { (0o40_755_u32, 0) } else { (0o100_755, self.file.len()) };
        let mut bytes = node.to_le_bytes().to_vec();
        bytes.extend((size as u64).to_le_bytes());
        bytes.extend([0; 44]); // blocks and times
        for word in [mode, 1, 0, 0, 0, 4096, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }
}

#[test]
fn a_directory_behind_a_server_is_not_listed() {
    if !is_root() {
        println!("skipped: only root may mount");
        return;
    }
    // The descriptor is for `mount`, which hands it to the kernel.
    let Ok(device) = rustix::fs::open("/dev/fuse", OFlags::RDWR, Mode::empty()) else {
        println!("skipped: this kernel has no FUSE");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let mounted =
        Command::new("mount").args(["-i", "-t", "fuse", "-o", &options, "probe"]).arg(place.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: mounting is not allowed here");
        return;
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let served = Served { file: python(0x030c_01f0).build(), asked: asked.clone() };
    let server = std::thread::spawn(move || served.serve(&device));
    let report = probe(&Options::fast().path(place.path()).off_path(false).ask(Ask::Never)).unwrap();
    let unmounted = Command::new("umount").arg(place.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    server.join().unwrap();
    let asked = asked.lock().unwrap();
    assert!(asked.contains(&opcode::LOOKUP), "{asked:?}: {}", report.table());
    assert!(!asked.contains(&opcode::READDIR) && !asked.contains(&opcode::READDIRPLUS), "{asked:?}");
    let names: Vec<&str> = report.runtimes.iter().map(|found| found.found_as.as_str()).collect();
    assert_eq!(names, ["python3"], "3.99 is no name that anybody knows: {}", report.table());
    assert_eq!(report.runtimes[0].version.as_deref(), Some("3.12.1"));
}

/// The command's report where an empty file system covers `/proc`, or why there is none.
fn without_proc(arguments: &[&OsStr]) -> Result<Value, String> {
    let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "/bin/sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_runtime-probe"))
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn links_are_followed_without_proc() {
    if !is_root() {
        println!("skipped: only root may cover /proc");
        return;
    }
    let root = Root::new();
    root.elf("/real/lib/python3.12/bin/python3.12", &python(0x030c_01f0));
    root.link("/bin/python3", "../etc/alternatives/python3");
    root.link("/etc/alternatives/python3", root.host("/real/current/bin/python3.12").to_str().unwrap());
    root.link("/real/current", "lib/python3.12");
    root.link("/bin/python", "python3").link("/bin/ruby", "ruby1").link("/bin/ruby1", "ruby");
    let (options, path) = (["--json", "--never-ask", "--only-path", "--path"], root.host("/bin"));
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.push(path.as_os_str());
    let report = match without_proc(&arguments) {
        Ok(report) => report,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let real = root.host("/real/lib/python3.12/bin/python3.12").canonicalize().unwrap();
    assert_eq!(report["runtimes"].as_array().unwrap().len(), 1, "{report:#}");
    let python = &report["runtimes"][0];
    assert_eq!(python["version"], "3.12.1");
    assert_eq!(Path::new(OsStr::from_bytes(python["real"].as_str().unwrap().as_bytes())), real);
    assert_eq!(python["names"].as_array().unwrap().len(), 2);
    assert_eq!(report["rejected"][0]["reason"], "link-loop");
    // What is there with `/proc` is there without it.
    let here = probe(&Options::fast().path(path.as_os_str()).off_path(false).ask(Ask::Never)).unwrap();
    assert_eq!(at(&here, path.join("python3").to_str().unwrap()).real, real);
}
